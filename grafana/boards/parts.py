"""Building blocks of the boards: panels in rows, laid out from left to right, in the classic JSON that Grafana 10 and
later load.

Every panel queries the data source that the board's variable names. It has a unit, thresholds, and a description that
explains its meaning and what to do. These are required parameters, so no panel can lack them.
"""

SCHEMA_VERSION = 38
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24

BOARDS = {
    "flash-sale": "Sale overview",
    "flash-sale-gateway": "Gateway",
    "flash-sale-settlement": "Settlement",
    "flash-sale-stock": "Stock and oversell",
    "flash-sale-dependencies": "Dependencies",
    "flash-sale-payments": "Payments and downstream",
}
VARIABLES = "${datasource:queryparam}&${__url_time_range}"


def steps(text):
    """Parses `green 1:yellow 5:red`: the base colour, then the value from which each further colour applies."""
    first, *rest = text.split()
    found = [{"color": first, "value": None}]
    for step in rest:
        value, color = step.split(":")
        found.append({"color": color, "value": float(value) if "." in value else int(value)})
    return {"mode": "absolute", "steps": found}


def _targets(queries):
    """Builds the targets of a panel from one expression or from {legend: expression}."""
    queries = queries if isinstance(queries, dict) else {"": queries}
    return [
        {
            "refId": chr(ord("A") + index),
            "datasource": SOURCE,
            "expr": " ".join(expr.split()),
            "legendFormat": legend or "__auto",
            "range": True,
            "instant": False,
        }
        for index, (legend, expr) in enumerate(queries.items())
    ]


def _panel(kind, title, queries, unit, description, color, custom, options, size, to=None, mappings=None):
    defaults = {
        "unit": unit,
        "thresholds": steps(color),
        "color": {"mode": "palette-classic" if kind == "timeseries" else "thresholds"},
        "mappings": [{"type": "value", "options": mappings}] if mappings else [],
    }
    if custom:
        defaults["custom"] = custom
    links = [{"title": BOARDS[to], "url": f"/d/{to}?{VARIABLES}", "targetBlank": False}] if to else []
    return {
        "type": kind,
        "title": title,
        "description": " ".join(description.split()),
        "datasource": SOURCE,
        "size": size,
        "targets": _targets(queries),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "links": links,
    }


def stat(title, queries, unit, description, color="blue", w=3, h=4, to=None, mappings=None, text="auto"):
    """A current value with a sparkline."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "background",
        "graphMode": "area",
        "textMode": text,
        "justifyMode": "auto",
        "orientation": "auto",
    }
    return _panel("stat", title, queries, unit, description, color, None, options, (w, h), to, mappings)


def series(title, queries, unit, description, color="green", w=8, h=8, stack=False, to=None):
    """Lines over time. Thresholds above the base are drawn as lines."""
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if stack else 10,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
        "thresholdsStyle": {"mode": "line" if len(color.split()) > 1 else "off"},
    }
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return _panel("timeseries", title, queries, unit, description, color, custom, options, (w, h), to)


def timeline(title, queries, description, color="red 1:green", w=12, h=8, mappings=None, to=None):
    """States over time, one row per series."""
    options = {
        "mergeValues": True,
        "showValue": "never",
        "rowHeight": 0.85,
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    custom = {"fillOpacity": 80, "lineWidth": 0}
    return _panel("state-timeline", title, queries, "none", description, color, custom, options, (w, h), to, mappings)


def bars(title, queries, unit, description, color, w=8, h=8, maximum=None, to=None):
    """A bar with the current value of each series."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "displayMode": "basic",
        "orientation": "horizontal",
        "showUnfilled": True,
        "valueMode": "color",
        "minVizHeight": 12,
        "minVizWidth": 8,
    }
    panel = _panel("bargauge", title, queries, unit, description, color, None, options, (w, h), to)
    panel["fieldConfig"]["defaults"].update({"min": 0} | ({"max": maximum} if maximum else {}))
    return panel


def quantiles(metric, matchers="", by="le"):
    """The queries for p50 and p99 of a histogram."""
    rate = f"sum by ({by}) (rate({metric}_bucket{matchers}[$__rate_interval]))"
    return {f"p{int(q * 100)}": f"histogram_quantile({q}, {rate})" for q in (0.5, 0.99)}


def variable(name, label, query, description, multi=True):
    """A dashboard variable with the values of a label."""
    every = {"selected": True, "text": ["All"], "value": ["$__all"]}
    return {
        "name": name,
        "label": label,
        "description": description,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": multi,
        "includeAll": True,
        "allValue": ".*",
        "current": every,
        "hide": 0,
        "options": [],
        "regex": "",
        "skipUrlSync": False,
    }


SALE = variable("sale", "Sale", "label_values(sale_epoch, sale)", "Which sales are shown.")
GATEWAY = variable(
    "instance", "Gateway", "label_values(gateway_lease_seconds_left, instance)", "Which gateways are shown."
)
SETTLER = variable(
    "instance",
    "Settlement",
    "label_values(settlement_batch_orders_count, instance)",
    "Which settlement processes are shown.",
)
PROCESS = variable(
    "instance", "Process", "label_values(process_start_time_seconds, instance)", "Which processes are shown."
)
GROUP = variable(
    "group", "Consumer group", "label_values(consumer_lag_records, group)", "Which consumer groups are shown."
)

_DATA_SOURCE = {
    "name": "datasource",
    "label": "Data source",
    "description": "The Prometheus that scrapes the system.",
    "type": "datasource",
    "query": "prometheus",
    "refresh": 1,
    "current": {"selected": True, "text": "Prometheus", "value": "prometheus"},
    "hide": 0,
    "includeAll": False,
    "multi": False,
    "options": [],
    "regex": "",
    "skipUrlSync": False,
}


def _annotation(name, color, expr, title, text):
    return {
        "name": name,
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "expr": expr,
        "step": "5s",
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": "sale",
        "useValueForTime": False,
    }


def _annotations(sales):
    now, before = (f"(max by (sale, state) (sale_state{sales}{offset}) == 1)" for offset in ("", " offset 5s"))
    new, old = (f"max by (sale) (sale_epoch{sales}{offset})" for offset in ("", " offset 5s"))
    return [
        _annotation(
            "Sale states", "blue", f"{now} unless {before}", "{{sale}}: {{state}}", "the state is now {{state}}"
        ),
        _annotation("Rebuilds", "orange", f"({new} - {old}) > 0", "{{sale}}: rebuilt", "a new epoch has started"),
    ]


def board(uid, description, variables, rows):
    """A board made of rows, {title: [panels]}. The panels of a row are placed from left to right."""
    panels, y = [], 0
    for title, row in rows.items():
        panels.append({"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": _at(0, y, WIDTH, 1)})
        y += 1
        x = height = 0
        for panel in row:
            w, h = panel.pop("size")
            if x + w > WIDTH:
                x, y, height = 0, y + height, 0
            panels.append(panel | {"gridPos": _at(x, y, w, h)})
            x, height = x + w, max(height, h)
        y += height
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    has_sale = any(variable["name"] == "sale" for variable in variables)
    return {
        "uid": uid,
        "title": f"Flash sale: {BOARDS[uid]}",
        "description": description,
        "tags": ["flash-sale"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "weekStart": "",
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "annotations": {"list": _annotations('{sale=~"$sale"}' if has_sale else "")},
        "links": [_link(other, title) for other, title in BOARDS.items() if other != uid],
        "templating": {"list": [_DATA_SOURCE, *variables]},
        "panels": panels,
    }


def _at(x, y, w, h):
    return {"x": x, "y": y, "w": w, "h": h}


def _link(uid, title):
    return {
        "type": "link",
        "title": title,
        "url": f"/d/{uid}",
        "keepTime": True,
        "includeVars": True,
        "targetBlank": False,
        "asDropdown": False,
        "icon": "dashboard",
        "tags": [],
        "tooltip": "",
    }

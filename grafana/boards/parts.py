"""What boards are made of: panels in rows, laid out from left to right, in the classic JSON that Grafana 10 and later load.

Every panel asks the data source that the board's variable names, has a unit, thresholds, and a description that says
what it means and what to do; a panel that lacks one cannot be written.
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
    """`green 1:yellow 5:red`: the first colour, and from which value on another."""
    first, *rest = text.split()
    found = [{"color": first, "value": None}]
    for step in rest:
        value, color = step.split(":")
        found.append({"color": color, "value": float(value) if "." in value else int(value)})
    return {"mode": "absolute", "steps": found}


def _targets(queries):
    """Queries: one expression, or {legend: expression}."""
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


def _panel(kind, title, queries, unit, says, color, custom, options, size, to=None, mappings=None):
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
        "description": " ".join(says.split()),
        "datasource": SOURCE,
        "size": size,
        "targets": _targets(queries),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "links": links,
    }


def stat(title, queries, unit, says, color="blue", w=3, h=4, to=None, mappings=None, text="auto"):
    """One figure now, and its course behind it."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "background",
        "graphMode": "area",
        "textMode": text,
        "justifyMode": "auto",
        "orientation": "auto",
    }
    return _panel("stat", title, queries, unit, says, color, None, options, (w, h), to, mappings)


def series(title, queries, unit, says, color="green", w=8, h=8, stack=False, to=None):
    """Lines over time; a threshold above the first is drawn."""
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
    return _panel("timeseries", title, queries, unit, says, color, custom, options, (w, h), to)


def timeline(title, queries, says, color="red 1:green", w=12, h=8, mappings=None, to=None):
    """States over time, a lane each."""
    options = {
        "mergeValues": True,
        "showValue": "never",
        "rowHeight": 0.85,
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    custom = {"fillOpacity": 80, "lineWidth": 0}
    return _panel("state-timeline", title, queries, "none", says, color, custom, options, (w, h), to, mappings)


def bars(title, queries, unit, says, color, w=8, h=8, most=None, to=None):
    """A bar for each series now."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "displayMode": "basic",
        "orientation": "horizontal",
        "showUnfilled": True,
        "valueMode": "color",
        "minVizHeight": 12,
        "minVizWidth": 8,
    }
    panel = _panel("bargauge", title, queries, unit, says, color, None, options, (w, h), to)
    panel["fieldConfig"]["defaults"].update({"min": 0} | ({"max": most} if most else {}))
    return panel


def quantiles(metric, matchers="", by="le"):
    """p50 and p99 of a histogram."""
    rate = f"sum by ({by}) (rate({metric}_bucket{matchers}[$__rate_interval]))"
    return {f"p{int(q * 100)}": f"histogram_quantile({q}, {rate})" for q in (0.5, 0.99)}


def variable(name, label, query, says, multi=True):
    """A choice among the values of a label."""
    every = {"selected": True, "text": ["All"], "value": ["$__all"]}
    return {
        "name": name,
        "label": label,
        "description": says,
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
GATEWAY = variable("instance", "Gateway", "label_values(gateway_lease_seconds_left, instance)", "Which gateways are shown.")
SETTLER = variable("instance", "Settler", "label_values(settlement_batch_orders_count, instance)", "Which settlers are shown.")
PROCESS = variable("instance", "Process", "label_values(process_start_time_seconds, instance)", "Which processes are shown.")
GROUP = variable("group", "Group", "label_values(consumer_lag_records, group)", "Which groups of consumers are shown.")

_CHOSEN = {
    "name": "datasource",
    "label": "Data source",
    "description": "The Prometheus that looks at the system.",
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
        _annotation("Sale states", "blue", f"{now} unless {before}", "{{sale}}: {{state}}", "now {{state}}"),
        _annotation("Rebuilds", "orange", f"({new} - {old}) > 0", "{{sale}}: rebuilt", "a new epoch has begun"),
    ]


def board(uid, says, variables, rows):
    """A board of rows: {title: [panels]}. The panels of a row fill it from left to right."""
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
        "description": says,
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
        "templating": {"list": [_CHOSEN, *variables]},
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

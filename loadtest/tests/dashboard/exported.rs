//! What `/metrics` says, and whether it has what a query asks for.

use std::collections::BTreeMap;

use super::promql::Query;

/// Every sample: its name and labels.
#[derive(Debug, Default)]
pub(crate) struct Exported(BTreeMap<String, Vec<BTreeMap<String, String>>>);

/// Labels that Prometheus adds itself.
const OF_PROMETHEUS: [&str; 2] = ["job", "instance"];

impl Exported {
    /// Reads one more process' text (Prometheus' exposition format 0.0.4).
    pub(crate) fn read(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (series, _value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels = labels.strip_suffix('}').expect("closed labels");
            // No label value of ours contains `","`.
            let labels = labels.split("\",").filter(|pair| !pair.is_empty()).map(|pair| {
                let (label, value) = pair.split_once("=\"").expect("label=\"value\"");
                (label.to_owned(), value.trim_end_matches('"').to_owned())
            });
            self.0.entry(name.to_owned()).or_default().push(labels.collect());
        }
    }

    fn has_label(&self, metric: &str, label: &str) -> bool {
        self.0.get(metric).is_some_and(|series| series.iter().any(|labels| labels.contains_key(label)))
    }

    /// What of a query, and of the labels that its legend shows, is not there.
    pub(crate) fn missing(&self, query: &Query, legend: &[String]) -> Vec<String> {
        let mut missing = Vec::new();
        for selector in &query.selectors {
            let metric = &selector.metric;
            if !self.0.contains_key(metric) {
                missing.push(format!("{metric} is not exported"));
                continue;
            }
            for (label, operator, value) in &selector.matchers {
                let there = match operator.as_str() {
                    "=" if !value.contains('$') => {
                        self.0[metric].iter().any(|labels| labels.get(label) == Some(value))
                    }
                    _ => self.has_label(metric, label),
                };
                if !there {
                    missing.push(format!("no {metric} has {label}{operator}{value:?}"));
                }
            }
        }
        for label in query.grouping.iter().filter(|label| !OF_PROMETHEUS.contains(&label.as_str())) {
            if !query.selectors.iter().any(|selector| self.has_label(&selector.metric, label)) {
                missing.push(format!("nothing has the label {label} to group by"));
            }
        }
        for label in legend.iter().filter(|label| !OF_PROMETHEUS.contains(&label.as_str())) {
            let kept = query.grouping.is_empty() || query.grouping.contains(label);
            if !kept || !query.selectors.iter().any(|selector| self.has_label(&selector.metric, label)) {
                missing.push(format!("the legend's {label} is not in the result"));
            }
        }
        missing
    }
}

#[test]
fn what_is_not_exported_is_found() {
    let mut exported = Exported::default();
    exported.read("# TYPE a counter\na{x=\"1\",y=\"two words\"} 3\nb 0\n");
    let missing = |query: &str, legend: &[&str]| {
        let legend: Vec<_> = legend.iter().map(|label| label.to_string()).collect();
        exported.missing(&super::promql::parse(query), &legend).len()
    };
    assert_eq!(missing(r#"sum by (y) (a{x="1", y=~"$z"}) / b"#, &["y"]), 0);
    assert_eq!(missing("c", &[]), 1);
    assert_eq!(missing(r#"a{x="2"}"#, &[]), 1);
    assert_eq!(missing(r#"a{z=~".*"}"#, &[]), 1);
    assert_eq!(missing("sum by (z) (a)", &[]), 1);
    assert_eq!(missing("sum by (x) (a)", &["y"]), 1);
    assert_eq!(missing("sum by (instance) (a)", &["instance"]), 0);
}

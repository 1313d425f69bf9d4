//! Declarations of metrics. A metric is declared once, with its help, beside the code that records it:
//!
//! ```
//! process::metrics! {
//!     static COMMIT_SECONDS: Histogram = "example_commit_seconds", "Duration of a transaction, in seconds.";
//!     static ORDERS: Counter["status"] = "example_orders_total", "Orders by status.", zero = [["created"]];
//! }
//!
//! COMMIT_SECONDS.record(0.01);
//! ORDERS.with(["created"]).increment(1);
//! ```
//!
//! Everything else follows from the declarations, which the linker collects: the `# HELP` texts, the registration at
//! zero ([`register`]), and the reference that `book` generates ([`declarations`]). The compiler warns of a metric that is
//! declared and never recorded. A lint bans the macros of the crate `metrics`, which would record an undeclared one.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::OnceLock;

#[doc(hidden)]
pub use inventory;
pub use metrics::{Counter, Gauge, Histogram};
use metrics::{Key, Label, Level, Metadata, SharedString, with_recorder};

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows until the process ends.
    Counter,
    /// A number that rises and falls.
    Gauge,
    /// A distribution, counted in buckets.
    Histogram,
}

/// A declared metric.
#[derive(Debug)]
pub struct Declaration {
    /// The name of the metric.
    pub name: &'static str,
    /// The kind of the metric.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// The meaning of the metric, with its unit.
    pub help: &'static str,
    /// The module that declares the metric.
    pub module: &'static str,
    #[doc(hidden)]
    pub register_at_zero: fn(),
}

inventory::collect!(Declaration);

/// Returns the metrics that a crate declares, by name.
pub fn declarations(krate: &str) -> Vec<&'static Declaration> {
    let is_in_crate = |declaration: &&Declaration| declaration.module.split("::").next() == Some(krate);
    let mut declarations: Vec<_> = inventory::iter::<Declaration>.into_iter().filter(is_in_crate).collect();
    declarations.sort_by_key(|declaration| declaration.name);
    declarations
}

/// Describes the metrics of a crate to the recorder, and registers at zero those whose label values are known, so that
/// an alert sees an increase from 0. The recorder must be installed.
pub fn register(krate: &str) {
    for declaration in declarations(krate) {
        match declaration.kind {
            Kind::Counter => metrics::describe_counter!(declaration.name, declaration.help),
            Kind::Gauge => metrics::describe_gauge!(declaration.name, declaration.help),
            Kind::Histogram => metrics::describe_histogram!(declaration.name, declaration.help),
        }
        (declaration.register_at_zero)();
    }
}

/// A handle that records a metric: [`Counter`], [`Gauge`] or [`Histogram`].
pub trait Handle: Sized {
    /// The kind of the metric.
    const KIND: Kind;
    /// Returns the handle of a key from the current recorder.
    fn from_recorder(key: &Key) -> Self;
}

impl Handle for Counter {
    const KIND: Kind = Kind::Counter;
    fn from_recorder(key: &Key) -> Self {
        with_recorder(|recorder| recorder.register_counter(key, &METADATA))
    }
}

impl Handle for Gauge {
    const KIND: Kind = Kind::Gauge;
    fn from_recorder(key: &Key) -> Self {
        with_recorder(|recorder| recorder.register_gauge(key, &METADATA))
    }
}

impl Handle for Histogram {
    const KIND: Kind = Kind::Histogram;
    fn from_recorder(key: &Key) -> Self {
        with_recorder(|recorder| recorder.register_histogram(key, &METADATA))
    }
}

/// A metric without labels. It dereferences to its handle, which is cached from the first use on.
pub struct Metric<H> {
    name: &'static str,
    handle: OnceLock<H>,
}

impl<H: Handle> Metric<H> {
    #[doc(hidden)]
    pub const fn declare(name: &'static str) -> Self {
        Self { name, handle: OnceLock::new() }
    }

    /// Returns a handle from the current recorder, which a test may have replaced.
    pub fn handle(&self) -> H {
        H::from_recorder(&Key::from_static_name(self.name))
    }
}

impl<H: Handle> Deref for Metric<H> {
    type Target = H;
    fn deref(&self) -> &H {
        self.handle.get_or_init(|| self.handle())
    }
}

/// A metric with `N` labels.
pub struct LabeledMetric<H, const N: usize> {
    name: &'static str,
    labels: [&'static str; N],
    handle: PhantomData<fn() -> H>,
}

impl<H: Handle, const N: usize> LabeledMetric<H, N> {
    #[doc(hidden)]
    pub const fn declare(name: &'static str, labels: [&'static str; N]) -> Self {
        Self { name, labels, handle: PhantomData }
    }

    /// Returns the handle for these label values, in the order of the declaration. Each call searches the recorder: code
    /// that records often keeps the handle.
    pub fn with<V: Into<SharedString>>(&self, values: [V; N]) -> H {
        let labels = self.labels.into_iter().zip(values);
        let labels: Vec<Label> = labels.map(|(name, value)| Label::new(name, value)).collect();
        H::from_recorder(&Key::from_parts(self.name, labels))
    }
}

/// Declares metrics: see the module [`metric`](crate::metric). `zero` lists the label values that are registered at
/// start; a metric without labels always is.
#[macro_export]
macro_rules! metrics {
    ($($visibility:vis static $name:ident: $kind:ident $([$($label:literal),+])? = $metric:literal, $help:literal
        $(, zero = $zero:expr)?;)+) => {
        $($crate::__declare_metric! {
            $visibility $name $kind [$($($label),+)?] $metric $help [$($zero)?]
        })+
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __declare_metric {
    ($visibility:vis $name:ident $kind:ident [] $metric:literal $help:literal []) => {
        #[doc = $help]
        $visibility static $name: $crate::metric::Metric<$crate::metric::$kind> =
            $crate::metric::Metric::declare($metric);
        $crate::__submit_metric! { $kind [] $metric $help {
            drop($crate::metric::Metric::<$crate::metric::$kind>::declare($metric).handle());
        } }
    };
    ($visibility:vis $name:ident $kind:ident [$($label:literal),+] $metric:literal $help:literal []) => {
        $crate::__declare_metric! { $visibility $name $kind [$($label),+] $metric $help [[["";  [$($label),+].len()]; 0]] }
    };
    ($visibility:vis $name:ident $kind:ident [$($label:literal),+] $metric:literal $help:literal [$zero:expr]) => {
        #[doc = $help]
        $visibility static $name: $crate::metric::LabeledMetric<
            $crate::metric::$kind,
            { [$($label),+].len() },
        > = $crate::metric::LabeledMetric::declare($metric, [$($label),+]);
        $crate::__submit_metric! { $kind [$($label),+] $metric $help {
            let metric = $crate::metric::LabeledMetric::<
                $crate::metric::$kind,
                { [$($label),+].len() },
            >::declare($metric, [$($label),+]);
            for values in $zero {
                drop(metric.with(values));
            }
        } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __submit_metric {
    ($kind:ident [$($label:literal),*] $metric:literal $help:literal $register:block) => {
        $crate::metric::inventory::submit! {
            $crate::metric::Declaration {
                name: $metric,
                kind: $crate::metric::Kind::$kind,
                labels: &[$($label),*],
                help: $help,
                module: module_path!(),
                register_at_zero: || $register,
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::metrics! {
        static PLAIN: Counter = "test_plain_total", "A counter without labels.";
        static LABELED: Gauge["a", "b"] = "test_labeled", "A gauge with labels.", zero = [["1", "2"]];
        static DYNAMIC: Counter["sale"] = "test_dynamic_total", "A counter whose label values are unknown at start.";
    }

    #[test]
    fn declared_metrics_are_described_and_registered_at_zero() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            register("process");
            PLAIN.handle().increment(2);
            LABELED.with(["3", "4"]).set(1.0);
            DYNAMIC.with(["s".to_string()]).increment(3);
        });
        let text = recorder.handle().render();
        for line in [
            "# HELP test_plain_total A counter without labels.",
            "test_plain_total 2",
            r#"test_labeled{a="1",b="2"} 0"#,
            r#"test_dynamic_total{sale="s"} 3"#,
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
        let labeled = declarations("process").into_iter().find(|metric| metric.name == "test_labeled");
        let labeled = labeled.expect("the declaration is collected");
        assert_eq!((labeled.kind, labeled.labels), (Kind::Gauge, &["a", "b"][..]));
    }
}

//! The layout of the live view. It fits a terminal of any size: what does not fit is cut off, sparklines first.

use std::time::Duration;

use contract::sale::SaleState;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline};
use terminal::thousands;

use super::line::clock;
use super::rates::{History, Rates};
use crate::overview::{Item, Overview, Sale};

/// The minimum number of lines at which sparklines are shown.
const SPARKLINE_LINES_MIN: u16 = 14;
/// The narrowest bar that is readable, and the widest that is pleasant, in columns.
const BAR_MIN: usize = 8;
const BAR_MAX: usize = 60;
/// The columns of an item's line without its bar.
const ITEM_TEXT_COLUMNS: usize = 58;

/// The state of the live view.
#[derive(Debug)]
pub(super) struct View {
    pub(super) url: String,
    pub(super) overview: Overview,
    pub(super) history: History,
    /// The time since the last response and the error, if the last request failed.
    pub(super) outage: Option<(Duration, String)>,
    /// The number of lines of the sales that are scrolled off at the top.
    pub(super) scroll: u16,
    pub(super) coloured: bool,
}

impl View {
    fn paint(&self, color: Color) -> Style {
        if self.coloured { Style::new().fg(color) } else { Style::new() }
    }
    fn bold(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }
    fn dim(&self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
}

/// Draws the whole view.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let rate_lines = if frame.area().height >= SPARKLINE_LINES_MIN { 4 } else { 1 };
    let parts = [
        Constraint::Length(1),
        Constraint::Length(rate_lines),
        Constraint::Length(2),
        Constraint::Min(0),
        Constraint::Length(1),
    ];
    let [top, rates, facts, sales, bottom] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(Paragraph::new(headline(view)), top);
    draw_rates(frame, view, rates);
    frame.render_widget(Paragraph::new(vec![settlement(view), dependencies(view)]), facts);
    let lines = sale_lines(view, sales.width);
    let scroll = view.scroll.min((lines.len() as u16).saturating_sub(sales.height));
    frame.render_widget(Paragraph::new(lines).scroll((scroll, 0)), sales);
    frame.render_widget(Paragraph::new(Line::styled("q quit   ↑ ↓ scroll", view.dim())), bottom);
}

fn headline(view: &View) -> Line<'static> {
    let state = match &view.outage {
        None => Span::styled(format!("live {}", clock(&view.overview)), view.paint(Color::Green)),
        Some((since, why)) => {
            let text =
                format!("NO RESPONSE for {} s, showing {} ({why})", since.as_secs(), clock(&view.overview));
            Span::styled(text, view.paint(Color::Red).add_modifier(Modifier::BOLD))
        }
    };
    Line::from(vec![
        Span::styled("flashsale", view.bold()),
        Span::raw(format!(" {} ", view.overview.gateway.id)),
        Span::styled(format!("{} ", view.url), view.dim()),
        state,
    ])
}

fn draw_rates(frame: &mut Frame<'_>, view: &View, area: Rect) {
    type Select = fn(&Rates) -> Option<f64>;
    let all: [(&str, Color, Select); 3] = [
        ("accepted", Color::Green, |rates| rates.accepted_per_second),
        ("refused", Color::Yellow, |rates| rates.refused_per_second),
        ("settled", Color::Cyan, |rates| rates.settled_per_second),
    ];
    let columns: [Rect; 3] = Layout::horizontal([Constraint::Fill(1); 3]).spacing(1).areas(area);
    for ((name, color, select), column) in all.into_iter().zip(columns) {
        let [label, sparkline] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(column);
        let rate =
            select(&view.history.latest()).map_or_else(|| "–".into(), |rate| thousands(rate.round() as u64));
        let line =
            Line::from(vec![Span::raw(format!("{name} ")), Span::styled(format!("{rate}/s"), view.bold())]);
        frame.render_widget(Paragraph::new(line), label);
        let rates = view.history.series(select);
        let hidden = rates.len().saturating_sub(sparkline.width.into()); // the newest is at the right edge
        frame.render_widget(Sparkline::default().data(&rates[hidden..]).style(view.paint(color)), sparkline);
    }
}

fn count(count: Option<u64>) -> String {
    count.map_or_else(|| "–".into(), thousands)
}

fn settlement(view: &View) -> Line<'static> {
    let overview = &view.overview;
    let alarming = |text: String, alarm: bool| match alarm {
        true => Span::styled(text, view.paint(Color::Red).add_modifier(Modifier::BOLD)),
        false => Span::raw(text),
    };
    let seconds = overview.lag_seconds();
    let age = seconds.map_or_else(|| "–".into(), |seconds| format!("{seconds:.1}"));
    Line::from(vec![
        alarming(
            format!("lag {} records, {age} s", count(overview.lag_records())),
            seconds.is_some_and(|s| s >= 10.0),
        ),
        Span::raw(format!("   outbox {}", thousands(overview.outbox_entries()))),
        alarming(
            format!("   dead letters {}", count(overview.dead_letters)),
            overview.dead_letters.is_some_and(|n| n > 0),
        ),
        alarming(
            format!("   guard trips {}", count(overview.guard_trips)),
            overview.guard_trips.is_some_and(|n| n > 0),
        ),
        Span::raw(format!(
            "   in flight {}   live updates {}",
            thousands(overview.gateway.in_flight),
            thousands(overview.gateway.live_update_streams)
        )),
    ])
}

fn dependencies(view: &View) -> Line<'static> {
    let mut spans = vec![];
    for dependency in &view.overview.dependencies {
        let name = &dependency.name;
        spans.push(match (dependency.up, dependency.required) {
            (true, _) => Span::styled(format!("✓ {name}  "), view.paint(Color::Green)),
            (false, required) => {
                let why = dependency.why.as_deref().unwrap_or("down");
                let color = if required { Color::Red } else { Color::Yellow };
                Span::styled(format!("✗ {name}: {why}  "), view.paint(color).add_modifier(Modifier::BOLD))
            }
        });
    }
    Line::from(spans)
}

fn sale_lines(view: &View, width: u16) -> Vec<Line<'static>> {
    let mut lines = vec![];
    if view.overview.sales.is_empty() {
        lines.push(Line::raw("There are no sales yet."));
    }
    for sale in &view.overview.sales {
        lines.push(Line::raw(""));
        lines.push(sale_line(view, sale));
        lines.extend(sale.items.iter().map(|item| item_line(view, item, width)));
    }
    lines
}

fn sale_line(view: &View, sale: &Sale) -> Line<'static> {
    let (state, color) = match (sale.state, sale.ready) {
        (SaleState::Open, true) => ("open", Color::Green),
        (SaleState::Open, false) => ("open, not ready", Color::Red),
        (SaleState::Paused, _) => ("paused", Color::Yellow),
        (SaleState::Closed, _) => ("closed", Color::Reset),
        (SaleState::Draft, _) => ("draft", Color::Reset),
    };
    Line::from(vec![
        Span::styled(sale.sale_id.to_string(), view.bold()),
        Span::raw(format!("  {}  ", sale.title)),
        Span::styled(state, view.paint(color)),
        Span::styled(
            format!("  epoch {}  {} orders settled", sale.epoch, count(sale.orders_settled)),
            view.dim(),
        ),
    ])
}

fn item_line(view: &View, item: &Item, width: u16) -> Line<'static> {
    let units = |units: Option<i64>| units.map_or_else(|| "–".into(), |units| units.to_string());
    let mut spans = vec![Span::raw(format!("  {:<12} ", item.sku))];
    let bar_width = usize::from(width).saturating_sub(ITEM_TEXT_COLUMNS).min(BAR_MAX);
    if let (Some(total @ 1..), true) = (item.total, bar_width >= BAR_MIN) {
        let cells = |units: Option<i64>| {
            (units.unwrap_or(0).max(0) as u128 * bar_width as u128 / u128::from(total)) as usize
        };
        let sold = cells(item.sold).min(bar_width);
        let held = cells(item.held).min(bar_width - sold);
        spans.push(Span::styled("█".repeat(sold), view.paint(Color::Green)));
        spans.push(Span::styled("▓".repeat(held), view.paint(Color::Yellow)));
        spans.push(Span::styled("░".repeat(bar_width - sold - held), view.dim()));
        spans.push(Span::raw(" "));
    }
    let total = item.total.map_or_else(|| "unlimited".into(), |total| format!("of {total}"));
    let text = format!(
        "{} left  {} held  {} sold  {total}",
        units(item.available),
        units(item.held),
        units(item.sold)
    );
    let is_sold_out = item.available.is_some_and(|left| left <= 0);
    spans.push(Span::styled(text, if is_sold_out { view.bold() } else { Style::new() }));
    if let Some(drift) = item.drift.filter(|drift| *drift != 0) {
        spans.push(Span::styled(format!("  drift {drift:+}"), view.paint(Color::Yellow)));
    }
    Line::from(spans)
}

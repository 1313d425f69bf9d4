//! Broken links: in the sources, as code hosts resolve them, and in the site, as browsers do.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use crate::page::{MARKDOWN, Page};
use crate::site::normalize;

/// A link within the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The position of its address in the text.
    pub range: Range<usize>,
    /// The path as written; empty for the same page.
    pub target: String,
    /// The anchor of a heading.
    pub anchor: Option<String>,
    /// The line of the link, counted from 1.
    pub line: usize,
}

/// Returns the links and images of a page that refer to a file in the repository.
pub fn links_in(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    for (event, range) in Parser::new_ext(text, MARKDOWN).into_offset_iter() {
        let (Event::Start(Tag::Link { dest_url, .. }) | Event::Start(Tag::Image { dest_url, .. })) = event
        else {
            continue;
        };
        if dest_url.contains(':') {
            continue; // http:, mailto:
        }
        let written = text[range.clone()].rfind(&format!("]({dest_url}")).map(|at| range.start + at + 2);
        let Some(start) = written else { continue };
        let (target, anchor) = match dest_url.split_once('#') {
            Some((target, anchor)) => (target.to_owned(), Some(anchor.to_owned())),
            None => (dest_url.to_string(), None),
        };
        let line = text[..start].matches('\n').count() + 1;
        links.push(Link { range: start..start + dest_url.len(), target, anchor, line });
    }
    links
}

/// Returns the anchors of a page's headings, as code hosts generate them.
pub fn anchors_in(text: &str) -> HashSet<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let mut anchors = HashSet::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, MARKDOWN) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(words) | Event::Code(words) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&words);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let Some(words) = heading.take() else { continue };
                let slug: String = words
                    .to_lowercase()
                    .chars()
                    .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
                    .map(|c| if c == ' ' { '-' } else { c })
                    .collect();
                let earlier = seen.entry(slug.clone()).and_modify(|count| *count += 1).or_insert(0);
                anchors.insert(if *earlier == 0 { slug } else { format!("{slug}-{earlier}") });
            }
            _ => {}
        }
    }
    anchors
}

/// Returns the broken links of these pages, as `page:line: link`.
pub fn broken_in_sources(root: &Path, pages: &[Page]) -> Vec<String> {
    let mut broken = Vec::new();
    for page in pages {
        for link in links_in(&page.text) {
            let folder = page.path.parent().unwrap_or(Path::new(""));
            let path = match link.target.as_str() {
                "" => page.path.clone(),
                target => normalize(&folder.join(target)),
            };
            let file = root.join(&path);
            let is_there = file.exists() && !path.starts_with("..");
            let has_heading = link.anchor.as_ref().is_none_or(|anchor| {
                std::fs::read_to_string(&file).is_ok_and(|text| anchors_in(&text).contains(anchor))
            });
            if !is_there || !has_heading {
                let heading = link.anchor.map(|anchor| format!("#{anchor}")).unwrap_or_default();
                broken.push(format!("{}:{}: {}{heading}", page.path.display(), link.line, link.target));
            }
        }
    }
    broken
}

/// Returns the broken links of the site in this folder, as `page: link`.
pub fn broken_in_site(site: &Path) -> std::io::Result<Vec<String>> {
    let mut files = BTreeSet::new();
    let mut folders = vec![site.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => folders.push(entry.path()),
                false => drop(files.insert(entry.path())),
            }
        }
    }
    let is_page = |path: &PathBuf| path.extension().is_some_and(|end| end == "html");
    let mut pages = BTreeMap::new();
    // The "not found" page is served at any path, so that its relative links cannot be checked.
    for path in files.iter().filter(|path| is_page(path) && !path.ends_with("404.html")) {
        pages.insert(path.clone(), std::fs::read_to_string(path)?);
    }
    let mut broken = Vec::new();
    for (path, html) in &pages {
        for link in attribute(html, "href").into_iter().chain(attribute(html, "src")) {
            if link.contains(':') {
                continue;
            }
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            let there = match target {
                "" => path.clone(),
                target => normalize(&path.parent().expect("inside of the site").join(target)),
            };
            let is_there = files.contains(&there);
            let has_heading = anchor.is_empty()
                || pages.get(&there).is_some_and(|html| attribute(html, "id").contains(&anchor));
            if !is_there || !has_heading {
                broken.push(format!("{}: {link}", path.strip_prefix(site).unwrap_or(path).display()));
            }
        }
    }
    Ok(broken)
}

/// Returns the values of an attribute in a generated page.
fn attribute<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let opening = format!(" {name}=\"");
    html.split(&opening).skip(1).filter_map(|rest| rest.split_once('"')).map(|(value, _)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_headings_are_found() {
        let text =
            "# Life of `an` order, now\n## Why\n## Why\n[a](../b.md#why) ![c](d.png) [e](https://x.example)";
        let links = links_in(text);
        let seen: Vec<_> = links.iter().map(|link| &text[link.range.clone()]).collect();
        assert_eq!(seen, ["../b.md#why", "d.png"]);
        let anchors = anchors_in(text);
        for anchor in ["life-of-an-order-now", "why", "why-1"] {
            assert!(anchors.contains(anchor), "{anchors:?}");
        }
    }
}

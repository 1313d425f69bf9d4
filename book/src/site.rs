//! The site, by mdBook. Pages are written so that their links work where they lie, as code hosts show them; in the site
//! a link to a file that is no page of it leads to a copy of that file, under `files/`.
//!
//! A page of `docs/` that stands for a file elsewhere (`ARCHITECTURE.md` at the root) has one line `<!-- whole: PATH -->`:
//! in the site that file is in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use mdbook_driver::MDBook;
use mdbook_preprocessor::book::Book;
use mdbook_preprocessor::errors::Error as BookError;
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};

use crate::links::{Link, links_of};

/// The site could not be built.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// mdBook says why.
    #[error("{0:#}")]
    MdBook(BookError),
    /// A file beside the pages.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Builds the site of this repository into `destination`.
pub fn build(root: &Path, destination: &Path) -> Result<(), SiteError> {
    let wanted = Arc::new(Mutex::new(BTreeSet::new()));
    let mut book = MDBook::load(root.join("docs")).map_err(SiteError::MdBook)?;
    book.config.build.build_dir = destination.to_owned();
    book.with_preprocessor(Repository { root: root.to_owned(), wanted: Arc::clone(&wanted) });
    book.build().map_err(SiteError::MdBook)?;
    let wanted = wanted.lock().unwrap_or_else(PoisonError::into_inner);
    for path in wanted.iter() {
        let to = destination.join(copy_of(path));
        let copied = copy(&root.join(path), &to);
        copied.map_err(|source| SiteError::File { path: path.clone(), source })?;
    }
    Ok(())
}

/// Browsers show text, and save what they do not know: a folder is the list of what is in it.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to.parent().expect("inside of the site"))?;
    if from.is_dir() {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(from)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        std::fs::write(to, names.join("\n") + "\n")
    } else {
        std::fs::copy(from, to).map(|_| ())
    }
}

/// Where the site keeps a copy of a file of the repository.
fn copy_of(path: &Path) -> PathBuf {
    let shown =
        path.extension().is_some_and(|end| ["json", "txt", "svg", "png"].iter().any(|known| end == *known));
    // mdBook takes whatever has `.md` in its name for a page.
    let path = if path.extension().is_some_and(|end| end == "md") { &path.with_extension("") } else { path };
    let mut name = Path::new("files").join(path).into_os_string();
    if !shown {
        name.push(".txt");
    }
    name.into()
}

/// Points links to where the site has what they lead to.
struct Repository {
    root: PathBuf,
    wanted: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Preprocessor for Repository {
    fn name(&self) -> &str {
        "repository"
    }

    fn run(&self, _: &PreprocessorContext, mut book: Book) -> Result<Book, BookError> {
        // Where each page of the site comes from, and under which name it stands there.
        let mut places = BTreeMap::new();
        for chapter in book.chapters() {
            let Some(path) = &chapter.source_path else { continue };
            let source = stands_for(&chapter.content).unwrap_or_else(|| Path::new("docs").join(path));
            places.insert(source, path.clone());
            places.insert(Path::new("docs").join(path), path.clone());
        }
        let mut failed = None;
        book.for_each_chapter_mut(|chapter| {
            let Some(path) = chapter.source_path.clone() else { return };
            let mut source = Path::new("docs").join(&path);
            if let Some(elsewhere) = stands_for(&chapter.content) {
                match std::fs::read_to_string(self.root.join(&elsewhere)) {
                    Ok(text) => chapter.content = text,
                    Err(error) => failed = Some(error),
                }
                source = elsewhere;
            }
            chapter.content = self.point(&chapter.content, &source, &path, &places);
        });
        failed.map_or(Ok(book), |error| Err(error.into()))
    }
}

/// The file that a page stands for.
pub fn stands_for(content: &str) -> Option<PathBuf> {
    let line = content.lines().find_map(|line| line.strip_prefix("<!-- whole: "))?;
    line.strip_suffix(" -->").map(PathBuf::from)
}

impl Repository {
    /// A page's text with its links pointed: it comes from `source`, and stands in the site at `place`.
    fn point(&self, text: &str, source: &Path, place: &Path, places: &BTreeMap<PathBuf, PathBuf>) -> String {
        let mut pointed = text.to_owned();
        let mut links = links_of(text);
        links.sort_by_key(|link| std::cmp::Reverse(link.range.start));
        for Link { range, target, anchor, .. } in links {
            if target.is_empty() {
                continue;
            }
            let folder = source.parent().unwrap_or(Path::new(""));
            let led_to = normal(&folder.join(&target));
            let readme = led_to.join("README.md");
            let there = match places.get(&led_to).or_else(|| places.get(&readme)) {
                Some(page) => page.clone(),
                None => match led_to.strip_prefix("docs") {
                    Ok(image) if self.root.join(&led_to).is_file() => image.to_owned(),
                    _ => {
                        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
                        wanted.insert(led_to.clone());
                        copy_of(&led_to)
                    }
                },
            };
            let mut url = relative(place, &there);
            if let Some(anchor) = anchor {
                url = format!("{url}#{anchor}");
            }
            pointed.replace_range(range, &url);
        }
        pointed
    }
}

/// Without `.` and `..`.
pub fn normal(path: &Path) -> PathBuf {
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(parts.last(), Some(Component::Normal(_))) => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.iter().collect()
}

/// From one page of the site to another file of it.
fn relative(from: &Path, to: &Path) -> String {
    let up = from.components().count() - 1;
    format!("{}{}", "../".repeat(up), to.display())
}

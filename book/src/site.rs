//! The site, built by mdBook. Links in the pages are relative to the repository, as code hosts resolve them; in the site, a
//! link to a file that is not a page refers to a copy of that file under `files/`.
//!
//! A page of `docs/` that represents a file elsewhere (such as `ARCHITECTURE.md`) has one line `<!-- whole: PATH -->`: in the
//! site it is replaced by that file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use mdbook_driver::MDBook;
use mdbook_preprocessor::book::Book;
use mdbook_preprocessor::errors::Error as BookError;
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};
use parking_lot::Mutex;

use crate::links::{Link, links_in};

/// The site could not be built.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The error of mdBook.
    #[error("{0:#}")]
    MdBook(BookError),
    /// A linked file could not be copied.
    #[error("{}: {source}", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The error of the file system.
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
    let wanted = wanted.lock();
    for path in wanted.iter() {
        let to = destination.join(copy_of(path));
        let copied = copy(&root.join(path), &to);
        copied.map_err(|source| SiteError::File { path: path.clone(), source })?;
    }
    Ok(())
}

/// Copies a file. Browsers display text and download other formats; a folder becomes a list of its files.
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

/// Returns the path of the copy in the site.
fn copy_of(path: &Path) -> PathBuf {
    let is_displayed =
        path.extension().is_some_and(|end| ["json", "txt", "svg", "png"].iter().any(|ending| end == *ending));
    // mdBook treats every file with `.md` in its name as a page.
    let path = if path.extension().is_some_and(|end| end == "md") { &path.with_extension("") } else { path };
    let mut name = Path::new("files").join(path).into_os_string();
    if !is_displayed {
        name.push(".txt");
    }
    name.into()
}

/// Rewrites links to their targets in the site.
struct Repository {
    root: PathBuf,
    wanted: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Preprocessor for Repository {
    fn name(&self) -> &str {
        "repository"
    }

    fn run(&self, _: &PreprocessorContext, mut book: Book) -> Result<Book, BookError> {
        // The source of each page, and its path in the site.
        let mut places = BTreeMap::new();
        for chapter in book.chapters() {
            let Some(path) = &chapter.source_path else { continue };
            let source = represented_file(&chapter.content).unwrap_or_else(|| Path::new("docs").join(path));
            places.insert(source, path.clone());
            places.insert(Path::new("docs").join(path), path.clone());
        }
        let mut failed = None;
        book.for_each_chapter_mut(|chapter| {
            let Some(path) = chapter.source_path.clone() else { return };
            let mut source = Path::new("docs").join(&path);
            if let Some(elsewhere) = represented_file(&chapter.content) {
                match std::fs::read_to_string(self.root.join(&elsewhere)) {
                    Ok(text) => chapter.content = text,
                    Err(error) => failed = Some(error),
                }
                source = elsewhere;
            }
            chapter.content = self.rewrite_links(&chapter.content, &source, &path, &places);
        });
        failed.map_or(Ok(book), |error| Err(error.into()))
    }
}

/// Returns the file that a page represents.
pub fn represented_file(content: &str) -> Option<PathBuf> {
    let line = content.lines().find_map(|line| line.strip_prefix("<!-- whole: "))?;
    line.strip_suffix(" -->").map(PathBuf::from)
}

impl Repository {
    /// Rewrites the links of a page that comes from `source` and is at `place` in the site.
    fn rewrite_links(
        &self,
        text: &str,
        source: &Path,
        place: &Path,
        places: &BTreeMap<PathBuf, PathBuf>,
    ) -> String {
        let mut rewritten = text.to_owned();
        let mut links = links_in(text);
        links.sort_by_key(|link| std::cmp::Reverse(link.range.start));
        for Link { range, target, anchor, .. } in links {
            if target.is_empty() {
                continue;
            }
            let folder = source.parent().unwrap_or(Path::new(""));
            let linked = normalize(&folder.join(&target));
            let readme = linked.join("README.md");
            let in_site = match places.get(&linked).or_else(|| places.get(&readme)) {
                Some(page) => page.clone(),
                None => match linked.strip_prefix("docs") {
                    Ok(image) if self.root.join(&linked).is_file() => image.to_owned(),
                    _ => {
                        let mut wanted = self.wanted.lock();
                        wanted.insert(linked.clone());
                        copy_of(&linked)
                    }
                },
            };
            let mut url = relative(place, &in_site);
            if let Some(anchor) = anchor {
                url = format!("{url}#{anchor}");
            }
            rewritten.replace_range(range, &url);
        }
        rewritten
    }
}

/// Resolves `.` and `..` in a path.
pub fn normalize(path: &Path) -> PathBuf {
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

/// Returns the relative path from a page of the site to another file.
fn relative(from: &Path, to: &Path) -> String {
    let up = from.components().count() - 1;
    format!("{}{}", "../".repeat(up), to.display())
}

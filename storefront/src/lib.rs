//! The pages that gateways serve: the shop (`shop/`), the operator view (`operator/`), and the API documentation (`docs/`:
//! Swagger UI). Each is an `index.html` with its `assets/`, served without a build step.
//!
//! A release contains the files; a debug build reads them when the program starts. Either way a page is prepared once:
//!
//! - Every file has a precomputed gzip variant, and a strong ETag for each of its two encodings.
//! - `index.html` names its assets as `assets/…`; it is served with `assets/<version>/…` in their place, where the
//!   version is a digest of all files. A browser caches a version's files indefinitely, so that a customer who reloads the
//!   page repeatedly before the opening costs one small response each time. Modules import each other by relative paths,
//!   and so stay within their version.

use std::collections::HashMap;
use std::io::Write;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

#[derive(RustEmbed)]
#[folder = "shop/"]
struct ShopFiles;

#[derive(RustEmbed)]
#[folder = "operator/"]
struct OperatorFiles;

#[derive(RustEmbed)]
#[folder = "docs/"]
struct DocsFiles;

/// The files of Swagger UI (<https://swagger.io/tools/swagger-ui/>, Apache-2.0), from a crate's package: see `build.rs`.
const SWAGGER_UI: [(&str, &str, &[u8]); 2] = [
    ("assets/swagger-ui.css", "text/css", include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css"))),
    (
        "assets/swagger-ui-bundle.js",
        "text/javascript",
        include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js")),
    ),
];

/// The page for customers.
pub static SHOP: LazyLock<Page> = LazyLock::new(|| Page::load::<ShopFiles>(&[]));
/// The page for operators.
pub static OPERATOR: LazyLock<Page> = LazyLock::new(|| Page::load::<OperatorFiles>(&[]));
/// The API documentation, with a form for each call.
pub static DOCS: LazyLock<Page> = LazyLock::new(|| Page::load::<DocsFiles>(&SWAGGER_UI));

/// The prefix of asset paths in `index.html`.
const ASSETS: &str = "assets/";
/// The prefix of asset paths in the page `/docs`, which has no slash at its end.
const DOCS_ASSETS: &str = "docs/assets/";
/// The number of bytes of a digest in names and ETags: enough that no two versions share one.
const DIGEST_BYTES: usize = 8;

/// A prepared page.
pub struct Page {
    files: HashMap<String, Asset>,
    version: String,
}

/// A file of a page.
pub struct Asset {
    /// The value of `Content-Type`.
    pub content_type: String,
    /// The uncompressed file.
    pub plain: Encoded,
    /// The compressed file, if it is smaller.
    pub gzip: Option<Encoded>,
}

/// A file in one content encoding.
pub struct Encoded {
    /// The strong ETag, with its quotes.
    pub etag: String,
    /// The whole body.
    pub body: Bytes,
}

/// The file at a path.
pub struct Found<'a> {
    /// The file that was found.
    pub asset: &'a Asset,
    /// Whether the path contains the version of the page, so that its content never changes.
    pub immutable: bool,
}

impl Page {
    /// Loads the files of a folder, and further ones (name, media type, content).
    fn load<Files: RustEmbed>(others: &[(&str, &str, &[u8])]) -> Self {
        let folder = Files::iter().filter_map(|name| {
            let file = Files::get(&name)?;
            Some((name.into_owned(), file.metadata.mimetype().to_owned(), file.data.into_owned()))
        });
        let others = others
            .iter()
            .map(|(name, media_type, body)| ((*name).to_owned(), (*media_type).to_owned(), body.to_vec()));
        let mut files: Vec<_> = folder.chain(others).collect();
        files.sort();
        let mut digest = Sha256::new();
        for (name, _, body) in &files {
            digest.update(name.as_bytes());
            digest.update(Sha256::digest(body));
        }
        let version = hex(&digest.finalize());
        let ready = files.into_iter().map(|(name, media_type, body)| {
            let body = if name == "index.html" { with_version(&body, &version) } else { body };
            (name, Asset::new(&media_type, body))
        });
        Self { files: ready.collect(), version }
    }

    /// Finds the file at an absolute path. A path with another version leads to the current file: during a rolling
    /// update, a gateway may receive requests for the assets of another gateway's page.
    pub fn find(&self, path: &str) -> Option<Found<'_>> {
        let name = path.strip_prefix('/')?;
        if name.is_empty() {
            return self.get("index.html", false);
        }
        let asset = name.strip_prefix(ASSETS)?;
        self.get(name, false).or_else(|| {
            let (version, asset) = asset.split_once('/')?;
            self.get(&format!("{ASSETS}{asset}"), version == self.version)
        })
    }

    fn get(&self, name: &str, immutable: bool) -> Option<Found<'_>> {
        self.files.get(name).map(|asset| Found { asset, immutable })
    }
}

impl Asset {
    fn new(media_type: &str, body: Vec<u8>) -> Self {
        let is_text = media_type.starts_with("text/") || media_type.contains("javascript");
        let content_type = format!("{media_type}{}", if is_text { "; charset=utf-8" } else { "" });
        let digest = hex(&Sha256::digest(&body));
        let gzip = compressed(&body).filter(|smaller| smaller.len() < body.len());
        let coded = |etag, body: Vec<u8>| Encoded { etag, body: body.into() };
        Self {
            content_type,
            gzip: gzip.map(|body| coded(format!("\"{digest}-gzip\""), body)),
            plain: coded(format!("\"{digest}\""), body),
        }
    }
}

/// Inserts the version into the asset paths of an `index.html`.
fn with_version(index: &[u8], version: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(index);
    let names =
        |text: String, begin: &str| text.replace(&format!("\"{begin}"), &format!("\"{begin}{version}/"));
    names(names(text.into_owned(), ASSETS), DOCS_ASSETS).into_bytes()
}

fn compressed(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len()), Compression::best());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

fn hex(digest: &[u8]) -> String {
    digest.iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_refers_to_assets_by_version_and_these_are_immutable() {
        for (page, begin) in [(&SHOP, ASSETS), (&OPERATOR, ASSETS), (&DOCS, DOCS_ASSETS)] {
            let index = page.find("/").unwrap();
            assert!(!index.immutable);
            assert_eq!(index.asset.content_type, "text/html; charset=utf-8");
            let html = String::from_utf8(index.asset.plain.body.to_vec()).unwrap();
            let names: Vec<_> = html.split('"').filter(|text| text.starts_with(begin)).collect();
            assert!(!names.is_empty(), "{html}");
            for name in names {
                let beside = name.replacen(begin, ASSETS, 1);
                let found = page.find(&format!("/{beside}")).unwrap_or_else(|| panic!("{name} is missing"));
                assert!(found.immutable, "{name}");
            }
        }
    }

    #[test]
    fn a_file_without_a_version_or_with_an_older_one_is_found_but_not_immutable() {
        let names = SHOP.files.keys().filter(|name| name.starts_with(ASSETS));
        for name in names {
            let asset = name.strip_prefix(ASSETS).unwrap();
            for path in [format!("/{name}"), format!("/assets/0123456789abcdef/{asset}")] {
                let found = SHOP.find(&path).unwrap_or_else(|| panic!("{path} is missing"));
                assert!(!found.immutable, "{path}");
                assert_eq!(found.asset.plain.etag, SHOP.files[name].plain.etag);
            }
        }
        for path in ["", "/index.html", "/assets", "/assets/", "/assets/x/../../Cargo.toml", "/v1/sales"] {
            assert!(SHOP.find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn compressed_files_are_smaller_and_have_their_own_etag() {
        let (plain, gzip) = (&SHOP.find("/").unwrap().asset.plain, &SHOP.find("/").unwrap().asset.gzip);
        let gzip = gzip.as_ref().unwrap();
        assert!(gzip.body.len() < plain.body.len() && gzip.etag != plain.etag);
        assert_eq!(gzip.body[..2], [0x1f, 0x8b]);
    }
}

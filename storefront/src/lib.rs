//! The pages that gateways serve: the customer's (`shop/`), the operator's (`operator/`), and the API's documents
//! (`docs/`: Swagger UI). Each is an `index.html` with its `assets/`, as the browser gets them: there is no build step.
//!
//! A release has the files inside; a debug build reads them when the program starts. Either way a page is made ready
//! once, and afterwards only looked up:
//!
//! - Every file has a strong ETag for each of its two codings, and its gzip variant ready.
//! - `index.html` names its assets as `assets/…`; it is served with `assets/<version>/…` in their place, where the
//!   version is a digest of all files. So whatever a browser has once fetched under a version it keeps for good, and
//!   a customer who reloads again and again before the opening costs one small answer each time. Modules import each
//!   other by relative paths, and so stay within their version.

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

/// Of Swagger UI (<https://swagger.io/tools/swagger-ui/>, Apache-2.0), from a crate's package: see `build.rs`.
const SWAGGER_UI: [(&str, &str, &[u8]); 2] = [
    ("assets/swagger-ui.css", "text/css", include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css"))),
    (
        "assets/swagger-ui-bundle.js",
        "text/javascript",
        include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js")),
    ),
];

/// The customer's page.
pub static SHOP: LazyLock<Page> = LazyLock::new(|| Page::load::<ShopFiles>(&[]));
/// The operator's view.
pub static OPERATOR: LazyLock<Page> = LazyLock::new(|| Page::load::<OperatorFiles>(&[]));
/// The API's documents, to be read and tried out.
pub static DOCS: LazyLock<Page> = LazyLock::new(|| Page::load::<DocsFiles>(&SWAGGER_UI));

/// What `index.html` begins the names of its assets with, as far as they lie beside it.
const ASSETS: &str = "assets/";
/// The same where the page is `/docs`, without a slash at its end.
const DOCS_ASSETS: &str = "docs/assets/";
/// Bytes of a digest that are shown: enough that two versions never share one.
const DIGEST_BYTES: usize = 8;

/// A page, ready to be served.
pub struct Page {
    files: HashMap<String, Asset>,
    version: String,
}

/// One file.
pub struct Asset {
    /// For `Content-Type`.
    pub content_type: String,
    /// As it is.
    pub plain: Coded,
    /// Compressed, where that is smaller.
    pub gzip: Option<Coded>,
}

/// A file in one coding.
pub struct Coded {
    /// Strong, in its quotes.
    pub etag: String,
    /// The whole of it.
    pub body: Bytes,
}

/// What was found under a path.
pub struct Found<'a> {
    /// The file.
    pub asset: &'a Asset,
    /// The path names this version of it: it will never be another.
    pub immutable: bool,
}

impl Page {
    /// Of a folder's files, and of others: name, media type, content.
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
            let body = if name == "index.html" { versioned(&body, &version) } else { body };
            (name, Asset::new(&media_type, body))
        });
        Self { files: ready.collect(), version }
    }

    /// The file of an absolute path. A version that is not this one's leads to the file as it is now: while gateways
    /// are being replaced, one may be asked for what another one's page names.
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
        let coded = |etag, body: Vec<u8>| Coded { etag, body: body.into() };
        Self {
            content_type,
            gzip: gzip.map(|body| coded(format!("\"{digest}-gzip\""), body)),
            plain: coded(format!("\"{digest}\""), body),
        }
    }
}

/// With the names of its assets as they are served.
fn versioned(index: &[u8], version: &str) -> Vec<u8> {
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
    fn the_index_names_a_version_under_which_its_assets_never_change() {
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
    fn the_same_file_is_found_without_a_version_and_by_an_older_one_but_not_kept() {
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
    fn what_is_compressed_is_smaller_and_has_a_tag_of_its_own() {
        let (plain, gzip) = (&SHOP.find("/").unwrap().asset.plain, &SHOP.find("/").unwrap().asset.gzip);
        let gzip = gzip.as_ref().unwrap();
        assert!(gzip.body.len() < plain.body.len() && gzip.etag != plain.etag);
        assert_eq!(gzip.body[..2], [0x1f, 0x8b]);
    }
}

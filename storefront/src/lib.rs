//! The two pages that gateways serve: the customer's (`shop/`) and the operator's (`operator/`). Each is an
//! `index.html` with its `assets/`, as the browser gets them: there is no build step.
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

/// The customer's page.
pub static SHOP: LazyLock<Page> = LazyLock::new(Page::load::<ShopFiles>);
/// The operator's view.
pub static OPERATOR: LazyLock<Page> = LazyLock::new(Page::load::<OperatorFiles>);

/// What `index.html` begins the names of its assets with.
const ASSETS: &str = "assets/";
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
    fn load<Files: RustEmbed>() -> Self {
        let mut names: Vec<_> = Files::iter().collect();
        names.sort();
        let files: Vec<_> = names.into_iter().filter_map(|name| Some((Files::get(&name)?, name))).collect();
        let mut digest = Sha256::new();
        for (file, name) in &files {
            digest.update(name.as_bytes());
            digest.update(file.metadata.sha256_hash());
        }
        let version = hex(&digest.finalize());
        let ready = files.into_iter().map(|(file, name)| {
            let body = match name.as_ref() {
                "index.html" => versioned(&file.data, &version),
                _ => file.data.into_owned(),
            };
            (name.into_owned(), Asset::new(file.metadata.mimetype(), body))
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
    text.replace(&format!("\"{ASSETS}"), &format!("\"{ASSETS}{version}/")).into_bytes()
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
        for page in [&SHOP, &OPERATOR] {
            let index = page.find("/").unwrap();
            assert!(!index.immutable);
            assert_eq!(index.asset.content_type, "text/html; charset=utf-8");
            let html = String::from_utf8(index.asset.plain.body.to_vec()).unwrap();
            let names: Vec<_> = html.split('"').filter(|text| text.starts_with(ASSETS)).collect();
            assert!(!names.is_empty(), "{html}");
            for name in names {
                let found = page.find(&format!("/{name}")).unwrap_or_else(|| panic!("{name} is missing"));
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

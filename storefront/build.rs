//! Recompiles the crate when a file of a page is added, and unpacks the two files of Swagger UI that are needed. Swagger UI comes
//! from the package of a crate, so that neither a build nor a browser downloads it.

use std::error::Error;
use std::io::Cursor;
use std::path::Path;

use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=shop");
    println!("cargo:rerun-if-changed=operator");
    println!("cargo:rerun-if-changed=docs");
    let out = std::env::var("OUT_DIR")?;
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    for name in ["swagger-ui.css", "swagger-ui-bundle.js"] {
        let path = format!("/dist/{name}");
        let inside = archive.file_names().flatten().find(|inside| inside.ends_with(&path));
        let inside =
            inside.ok_or_else(|| format!("{name} is not in the package of Swagger UI"))?.into_owned();
        let mut file = std::fs::File::create(Path::new(&out).join(name))?;
        std::io::copy(&mut archive.by_name(&inside)?, &mut file)?;
    }
    Ok(())
}

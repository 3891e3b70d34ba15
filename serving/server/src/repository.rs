//! The folder of models: finds the one to serve and what its files are.
//!
//! Called by `process` before an engine is made. Layout: `MODELS/NAME/VERSION/`, VERSION an integer
//! from 1; the highest is served. It reads names only, never a model.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::config::EngineChoice;

/// What a version's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Files {
    /// An ONNX model.
    Onnx(PathBuf),
    /// The description of an echo model.
    Echo(PathBuf),
}

/// The model to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The folder's name.
    pub name: String,
    /// The version.
    pub version: String,
    /// Its files.
    pub files: Files,
}

/// Why there is nothing to serve.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The folder cannot be read.
    #[error("cannot read {path}: {source}; mount the model's folder there")]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not one model.
    #[error("{path} holds {count} models; one process serves exactly one")]
    NotOne {
        /// The folder.
        path: PathBuf,
        /// Folders in it.
        count: usize,
    },
    /// No version.
    #[error("{0} has no version; put the model into a folder named 1 inside it")]
    NoVersion(PathBuf),
    /// No model.
    #[error("{path} has no {wanted}; it is what this server can run")]
    NoModel {
        /// The folder of the version.
        path: PathBuf,
        /// The missing files.
        wanted: &'static str,
    },
}

/// Finds the model below `models`.
///
/// # Errors
/// When there is not exactly one, or it has no usable version.
pub fn find(models: &Path, engine: EngineChoice) -> Result<Found, RepositoryError> {
    let names = folders(models)?;
    let [name] = names.as_slice() else {
        return Err(RepositoryError::NotOne {
            path: models.to_owned(),
            count: names.len(),
        });
    };
    let model = models.join(name);
    let version = folders(&model)?
        .into_iter()
        .filter_map(|folder| Some((folder.parse::<u64>().ok().filter(|v| *v >= 1)?, folder)))
        .max()
        .map(|(_, folder)| folder)
        .ok_or_else(|| RepositoryError::NoVersion(model.clone()))?;
    let files = files(&model.join(&version), engine)?;
    Ok(Found {
        name: name.clone(),
        version,
        files,
    })
}

fn files(folder: &Path, engine: EngineChoice) -> Result<Files, RepositoryError> {
    let (onnx, echo) = (folder.join("model.onnx"), folder.join("echo.json"));
    if onnx.is_file() {
        return Ok(Files::Onnx(onnx));
    }
    match engine {
        EngineChoice::Auto if echo.is_file() => Ok(Files::Echo(echo)),
        EngineChoice::Auto => Err(RepositoryError::NoModel {
            path: folder.to_owned(),
            wanted: "model.onnx or echo.json",
        }),
        EngineChoice::Onnx => Err(RepositoryError::NoModel {
            path: folder.to_owned(),
            wanted: "model.onnx",
        }),
    }
}

/// The folders in `path`; hidden ones are not counted, as mounted volumes bring `..data`.
fn folders(path: &Path) -> Result<Vec<String>, RepositoryError> {
    let unreadable = |source| RepositoryError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && name != "lost+found" && entry.path().is_dir() {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(test: &str, files: &[&str]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("aimodel-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    #[test]
    fn the_highest_version_is_served() {
        let files = [
            "m/9/model.onnx",
            "m/10/model.onnx",
            "m/..data/model.onnx",
            "m/0/echo.json",
        ];
        let root = tree("highest", &files);
        let found = find(&root, EngineChoice::Auto).unwrap();
        assert_eq!((found.name.as_str(), found.version.as_str()), ("m", "10"));
        assert_eq!(found.files, Files::Onnx(root.join("m/10/model.onnx")));
    }

    #[test]
    fn what_cannot_be_served_is_explained() {
        for (test, files, engine, wanted) in [
            ("none", &[] as &[&str], EngineChoice::Auto, "holds 0 models"),
            (
                "two",
                &["a/1/model.onnx", "b/1/model.onnx"],
                EngineChoice::Auto,
                "holds 2 models",
            ),
            (
                "versionless",
                &["m/model.onnx"],
                EngineChoice::Auto,
                "has no version",
            ),
            (
                "zero",
                &["m/0/model.onnx"],
                EngineChoice::Auto,
                "has no version",
            ),
            (
                "empty",
                &["m/1/README"],
                EngineChoice::Auto,
                "has no model.onnx or echo.json",
            ),
            (
                "echo",
                &["m/1/echo.json"],
                EngineChoice::Onnx,
                "has no model.onnx",
            ),
        ] {
            let error = find(&tree(test, files), engine).unwrap_err().to_string();
            assert!(error.contains(wanted), "{test}: {error}");
        }
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = find(Path::new("/nonexistent/models"), EngineChoice::Auto).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/models"), "{error}");
    }
}

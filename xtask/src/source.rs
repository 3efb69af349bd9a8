//! The repository as text: its files, and for Rust files the code without comments and strings.
//!
//! This is a lexer for checks, not a parser: it knows comments, string and character literals and
//! matching braces, which is what keeps a word in a comment from looking like code. Masked text has
//! the same length and the same lines as its source.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// Directories that hold nothing we wrote.
const PASSED_OVER: [&str; 5] = [".git", "target", "node_modules", "indelible-data", "corpus"];

/// Files larger than this are listed but not read.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The root of the workspace.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// One text file.
pub struct File {
    /// Path from the root, with `/`.
    pub path: String,
    /// The file as it is.
    pub text: String,
    /// For Rust: `text` with comments and literals blanked; else empty.
    pub code: String,
    /// For Rust: `code` without tests; empty in a file that is all tests.
    pub product: String,
}

impl File {
    /// A file of the tree; `path` decides whether it is Rust and whether it is all tests.
    pub fn new(path: &str, text: &str) -> Self {
        let rust = has_extension(path, "rs");
        let code = if rust { mask(text) } else { String::new() };
        let product = if is_test_path(path) {
            String::new()
        } else {
            without_tests(&code)
        };
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            product,
        }
    }

    /// Whether it is a Rust file.
    pub fn is_rust(&self) -> bool {
        has_extension(&self.path, "rs")
    }

    /// Whether it is prose for readers.
    pub fn is_prose(&self) -> bool {
        has_extension(&self.path, "md")
    }

    /// The crate under `crates/` that it belongs to.
    pub fn krate(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }
}

/// All files of the repository.
pub struct Tree {
    /// Those that are text, in order of path.
    pub files: Vec<File>,
    /// Paths of all, text or not, and of all directories.
    pub paths: BTreeSet<String>,
}

impl Tree {
    /// Reads the repository at `root`.
    ///
    /// # Errors
    /// When a directory or file cannot be read.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut tree = Self {
            files: Vec::new(),
            paths: BTreeSet::new(),
        };
        tree.walk(root, "")?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        mark_test_modules(&mut tree.files);
        Ok(tree)
    }

    /// The file at `path`.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    fn walk(&mut self, directory: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            // In a worktree it is a file that names a place on this machine.
            if name == ".git" {
                continue;
            }
            if entry.file_type()?.is_dir() {
                if !PASSED_OVER.contains(&name.as_str()) {
                    self.paths.insert(path.clone());
                    self.walk(&entry.path(), &format!("{path}/"))?;
                }
                continue;
            }
            self.paths.insert(path.clone());
            if entry.metadata()?.len() <= FILE_BYTES_MAX
                && let Ok(text) = String::from_utf8(fs::read(entry.path())?)
            {
                self.files.push(File::new(&path, &text));
            }
        }
        Ok(())
    }

    /// A tree from pairs of path and text.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let mut paths = BTreeSet::new();
        for (path, _) in files {
            let mut rest = *path;
            paths.insert(rest.to_owned());
            while let Some((parent, _)) = rest.rsplit_once('/') {
                paths.insert(parent.to_owned());
                rest = parent;
            }
        }
        let mut files: Vec<File> = files
            .iter()
            .map(|(path, text)| File::new(path, text))
            .collect();
        mark_test_modules(&mut files);
        Self { files, paths }
    }
}

/// Empties the product code of files that their parent declares with `#[cfg(test)] mod name;`.
fn mark_test_modules(files: &mut [File]) {
    let places: Vec<String> = files.iter().flat_map(test_modules).collect();
    for file in files {
        let in_one = |place: &String| {
            let rest = file.path.strip_prefix(place.as_str());
            rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if places.iter().any(in_one) {
            file.product.clear();
        }
    }
}

/// Paths, without `.rs`, of the modules for tests that `file` declares and does not contain.
fn test_modules(file: &File) -> Vec<String> {
    let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let folder = match name {
        "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
        name => format!("{folder}/{}", name.trim_end_matches(".rs")),
    };
    let declared = file.code.split("#[cfg(test)]").skip(1).filter_map(|rest| {
        let rest = rest.trim_start().strip_prefix("mod ")?;
        let (name, _) = rest.split_once(';')?;
        name.bytes()
            .all(is_name)
            .then(|| format!("{folder}/{name}"))
    });
    declared.collect()
}

/// Line number of the byte at `offset`, from 1.
pub fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()
        .iter()
        .take(offset)
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

/// Offsets in `text` of `word` where neither neighbour continues an identifier.
pub fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    let first_is_name = word.bytes().next().is_some_and(is_name);
    let last_is_name = word.bytes().last().is_some_and(is_name);
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            let before = at
                .checked_sub(1)
                .and_then(|place| bytes.get(place))
                .copied();
            let after = bytes.get(at + word.len()).copied();
            let starts_inside = first_is_name && before.is_some_and(is_name);
            let ends_inside = last_is_name && after.is_some_and(is_name);
            !starts_inside && !ends_inside
        })
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether `path` ends in `.extension`.
pub fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|found| found == extension)
}

/// Directories and files that are tests: among them the conformance suites that the store exports.
const TEST_PLACES: [&str; 5] = [
    "tests",
    "benches",
    "examples",
    "conformance",
    "conformance.rs",
];

fn is_test_path(path: &str) -> bool {
    let stem = Path::new(path)
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    stem == "tests"
        || stem.ends_with("_tests")
        || path.split('/').any(|part| TEST_PLACES.contains(&part))
}

/// `text` with the insides of comments and literals replaced by spaces.
fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut masked = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        if end > at {
            for byte in masked
                .iter_mut()
                .take(end)
                .skip(at)
                .filter(|byte| **byte != b'\n')
            {
                *byte = b' ';
            }
            at = end;
        } else {
            at += 1;
        }
    }
    // Whole comments and literals were blanked, so what is left is still UTF-8.
    String::from_utf8_lossy(&masked).into_owned()
}

/// End of the comment or literal that starts at `at`, or `at` itself when none does.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let follows_name = at
        .checked_sub(1)
        .and_then(|before| bytes.get(before))
        .copied();
    let follows_name = follows_name.is_some_and(is_name);
    let length = match rest {
        [b'/', b'/', ..] => rest
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => quoted(rest, b'"'),
        [b'r', b'"' | b'#', ..] if !follows_name => raw_string(rest, 1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !follows_name => raw_string(rest, 2),
        [b'\'', ..] => character(rest),
        _ => 0,
    };
    at + length
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        match rest.get(at..at + 2) {
            Some(b"/*") => {
                depth += 1;
                at += 2;
            }
            Some(b"*/") => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(byte) = rest.get(at) {
        match *byte {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string(rest: &[u8], prefix: usize) -> usize {
    let hashes = rest
        .iter()
        .skip(prefix)
        .take_while(|byte| **byte == b'#')
        .count();
    if rest.get(prefix + hashes) != Some(&b'"') {
        return 0; // A raw identifier such as r#type.
    }
    let mut closing = vec![b'"'];
    closing.resize(1 + hashes, b'#');
    let start = prefix + hashes + 1;
    let found = rest.get(start..).unwrap_or_default();
    let found = found
        .windows(closing.len())
        .position(|window| window == closing);
    found.map_or(rest.len(), |inside| start + inside + closing.len())
}

/// Length of a character literal; 0 for a lifetime.
fn character(rest: &[u8]) -> usize {
    let width = match rest.get(1) {
        Some(b'\\') => return quoted(rest, b'\''),
        Some(first) => match first.leading_ones() {
            0 => 1,
            ones => ones as usize,
        },
        None => return 0,
    };
    if rest.get(1 + width) == Some(&b'\'') {
        width + 2
    } else {
        0
    }
}

/// `code` with everything under `#[cfg(test)]` blanked.
fn without_tests(code: &str) -> String {
    let compact = "#[cfg(test)]";
    let mut product = code.as_bytes().to_vec();
    if code.contains("#![cfg(test)]") {
        return String::new();
    }
    for (at, _) in code.match_indices(compact) {
        let end = item_end(code.as_bytes(), at + compact.len());
        for byte in product
            .iter_mut()
            .take(end)
            .skip(at)
            .filter(|byte| **byte != b'\n')
        {
            *byte = b' ';
        }
    }
    String::from_utf8_lossy(&product).into_owned()
}

/// End of the item that starts at `at`: its `;`, or the brace that closes its body.
fn item_end(code: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    for (place, byte) in code.iter().enumerate().skip(at) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && *byte == b'}' {
                    return place + 1;
                }
            }
            b';' if depth == 0 => return place + 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_nothing_else() {
        let source = "let a = \"x // y\"; // std::fs\n\
                      let b = 'c'; /* a /* b */ c */ fn f<'a>() {}\n\
                      let d = r#\"a\"b\"#; let e = '\\''; let r#type = b\"\\\"\";";
        let masked = mask(source);
        assert_eq!(masked.len(), source.len());
        assert_eq!(masked.lines().count(), source.lines().count());
        assert!(masked.contains("fn f<'a>() {}"), "{masked}");
        assert!(masked.contains("let r#type ="), "{masked}");
        for hidden in ["std::fs", "x //", "'c'", "a\"b", "*/", "\\"] {
            assert!(!masked.contains(hidden), "{hidden} in {masked}");
        }
    }

    #[test]
    fn tests_are_not_product_code() {
        let file = File::new(
            "crates/x/src/lib.rs",
            "fn a() { b(\"}\") }\n#[cfg(test)]\nmod tests { fn t() { std::fs::read(\"\"); } }\n\
             fn z() {}",
        );
        assert!(file.code.contains("std::fs"));
        assert!(!file.product.contains("std::fs"));
        assert!(file.product.contains("fn a()") && file.product.contains("fn z()"));
        assert_eq!(File::new("crates/x/tests/all.rs", "fn a() {}").product, "");
        assert_eq!(
            File::new("crates/x/src/a/tests.rs", "fn a() {}").product,
            ""
        );
        assert_eq!(
            File::new("crates/x/src/contest.rs", "fn a() {}").product,
            "fn a() {}"
        );
    }

    #[test]
    fn a_module_declared_for_tests_is_not_product_code() {
        let tree = Tree::of(&[
            (
                "crates/x/src/seal/mod.rs",
                "#[cfg(test)]\nmod vectors;\nmod splice;\n",
            ),
            ("crates/x/src/seal/vectors.rs", "fn a() {}"),
            ("crates/x/src/seal/vectors_of_others.rs", "fn a() {}"),
            (
                "crates/x/src/seal/splice.rs",
                "#[cfg(test)]\nmod cases;\nfn a() {}",
            ),
            ("crates/x/src/seal/splice/cases.rs", "fn a() {}"),
        ]);
        let product = |path: &str| tree.file(path).map_or("", |file| file.product.as_str());
        assert_eq!(product("crates/x/src/seal/vectors.rs"), "");
        assert_eq!(product("crates/x/src/seal/splice/cases.rs"), "");
        assert_eq!(
            product("crates/x/src/seal/vectors_of_others.rs"),
            "fn a() {}"
        );
        assert!(product("crates/x/src/seal/splice.rs").contains("fn a()"));
    }

    #[test]
    fn words_have_edges() {
        assert_eq!(
            words("core hardcore core_x (core)", "core").collect::<Vec<_>>(),
            [0, 22]
        );
        assert_eq!(words("a.append( b.append(", ".append(").count(), 2);
        assert_eq!(line_of("a\nb\nc", 4), 3);
    }
}

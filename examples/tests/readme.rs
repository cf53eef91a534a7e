//! The README and the page about certificates show the programs that are there: each of their Rust
//! blocks is a file of the examples, and what the documents link to exists.

use std::fs;
use std::path::{Path, PathBuf};

/// The documents whose links are checked.
const DOCUMENTS: [&str; 8] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs/certificates.md",
    "docs/performance.md",
    "docs/security.md",
];

/// The documents that show programs, and which.
const SHOWN: [(&str, &[&str]); 2] = [
    ("README.md", &["examples/simple.rs", "examples/wss_server.rs"]),
    ("docs/certificates.md", &["examples/public_certificate.rs"]),
];

#[test]
fn code_blocks_are_the_example_files() {
    for (document, files) in SHOWN {
        let text = read(document);
        let blocks = rust_blocks(&text).unwrap_or_else(|problem| panic!("{document}: {problem}"));
        let shown: Vec<&str> = blocks.iter().map(|block| block.file).collect();
        assert_eq!(shown, files, "shown in {document}");
        for block in &blocks {
            if let Some(difference) = difference(&block.code, &read(block.file)) {
                panic!(
                    "{document}, the block of line {}, is not {file} any more: {difference}\n\
                     Copy {file} into the block again.",
                    block.line,
                    file = block.file,
                );
            }
        }
    }
}

#[test]
fn links_to_files_lead_somewhere() {
    for document in DOCUMENTS {
        let text = read(document);
        let links: Vec<&str> = file_links(&text).collect();
        let folder = root().join(document).parent().expect("it is in a folder").to_owned();
        for link in &links {
            assert!(folder.join(link).exists(), "{document} links to {link}, which isn't there");
        }
        assert!(document == "CHANGELOG.md" || !links.is_empty(), "no link found in {document}");
    }
}

#[test]
fn a_block_is_found_by_the_marker_above_it() {
    let text = "text\n\n<!-- a/b.rs -->\n```rust\nfn main() {\n}\n```\ntext\n```toml\nx = 1\n```\n";
    let [block] = &rust_blocks(text).unwrap()[..] else { panic!("not one block") };
    assert_eq!((block.file, &*block.code, block.line), ("a/b.rs", "fn main() {\n}\n", 4));
}

#[test]
fn a_block_that_no_test_would_compare_is_refused() {
    for (text, problem) in [
        ("```rust\nfn main() {}\n```\n", "line 1: a Rust block without a marker"),
        ("<!-- a.rs -->\n\n```rust\n```\n", "line 3: a Rust block without a marker"),
        ("<!-- a.rs -->\n```rust\nfn main() {}\n", "line 2: the block has no end"),
    ] {
        let error = rust_blocks(text).err().unwrap();
        assert!(error.starts_with(problem), "{error}");
    }
}

#[test]
fn a_difference_is_told_by_its_first_line() {
    assert_eq!(difference("a\nb\n", "a\nb\n"), None);
    assert_eq!(
        difference("a\nb\n", "a\nc\nd\n").unwrap(),
        "line 2 of the file is\n    c\nbut in the block\n    b"
    );
    assert_eq!(
        difference("a\n", "a\nb\n").unwrap(),
        "line 2 of the file is\n    b\nbut in the block\n    (nothing)"
    );
}

#[test]
fn links_to_the_web_and_within_the_page_are_no_files() {
    let text = "[a](b/c.rs), [d](https://e/f), [g](#h), [i](j.md#k)\n```\n[l](m)\n```\n";
    assert_eq!(file_links(text).collect::<Vec<_>>(), ["b/c.rs", "j.md"]);
}

/// A Rust block, and the file that it shows.
struct Block<'t> {
    file: &'t str,
    code: String,
    /// Where it starts in the document, for the person who has to find it.
    line: usize,
}

/// The blocks that follow a marker, the comment `<!-- path/of/file.rs -->` in the line above.
fn rust_blocks(document: &str) -> Result<Vec<Block<'_>>, String> {
    let mut blocks = Vec::new();
    let mut above = "";
    let mut lines = document.lines().zip(1..);
    while let Some((text, line)) = lines.next() {
        if text == "```rust" {
            let marker = above.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
            let file = marker.ok_or_else(|| {
                format!(
                    "line {line}: a Rust block without a marker, which nothing keeps up to date; \
                     put <!-- path/of/file.rs --> in the line above"
                )
            })?;
            let mut code = String::new();
            loop {
                match lines.next() {
                    Some(("```", _)) => break,
                    Some((text, _)) => code.extend([text, "\n"]),
                    None => return Err(format!("line {line}: the block has no end")),
                }
            }
            blocks.push(Block { file, code, line });
        }
        above = text;
    }
    Ok(blocks)
}

/// Where a block first differs from its file.
fn difference(block: &str, file: &str) -> Option<String> {
    if block == file {
        return None;
    }
    let (mut of_block, mut of_file) = (block.lines(), file.lines());
    let mut line = 1;
    loop {
        match (of_block.next(), of_file.next()) {
            (None, None) => return Some("they differ in how they end".to_owned()),
            (ours, theirs) if ours == theirs => line += 1,
            (ours, theirs) => {
                let (ours, theirs) = (ours.unwrap_or("(nothing)"), theirs.unwrap_or("(nothing)"));
                return Some(format!(
                    "line {line} of the file is\n    {theirs}\nbut in the block\n    {ours}"
                ));
            }
        }
    }
}

/// The targets of Markdown links that are files of the project, outside of code blocks.
fn file_links(document: &str) -> impl Iterator<Item = &str> {
    let text = document.split("```").step_by(2);
    let targets = text.flat_map(|text| text.split("](").skip(1)).filter_map(|rest| {
        let (target, _) = rest.split_once(')')?;
        Some(target.split_once('#').map_or(target, |(file, _)| file))
    });
    targets.filter(|target| !target.is_empty() && !target.contains("://"))
}

fn read(file: &str) -> String {
    let path = root().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("can't read {file}: {error}"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

//! A page as data: sections of blocks, that `report.md` and `report.html` are both written from. Text may mark `` `names` ``
//! and `**what matters**`; everything else in it is shown as it is, whatever people wrote.

use std::fmt::Write;

use super::text::Table;

/// A part of the page under a heading.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Its anchor.
    pub id: &'static str,
    pub title: &'static str,
    pub blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    Heading(String),
    Paragraph(String),
    /// A paragraph that should not be overlooked.
    Note(String),
    List(Vec<String>),
    Table(Table),
    /// Language and text.
    Code(&'static str, String),
    Figure(Figure),
    /// Thumbnails, as (data URI, what it is); only `report.html` shows them.
    Gallery(Vec<(String, String)>),
    /// Folded away behind a line.
    Details(String, Vec<Block>),
}

/// A drawing beside the page.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Of the file, without its ending.
    pub name: &'static str,
    /// What it shows, for those who do not see it too.
    pub caption: String,
    /// The `<svg>` element.
    pub svg: String,
}

impl Section {
    pub fn new(id: &'static str, title: &'static str) -> Section {
        Section { id, title, blocks: Vec::new() }
    }

    pub fn push(&mut self, block: Block) {
        self.blocks.push(block);
    }

    pub fn paragraph(&mut self, text: impl Into<String>) {
        self.push(Block::Paragraph(text.into()));
    }

    pub fn heading(&mut self, text: impl Into<String>) {
        self.push(Block::Heading(text.into()));
    }

    /// Nothing where the table has no rows.
    pub fn table(&mut self, table: Table) {
        if !table.rows.is_empty() {
            self.push(Block::Table(table.compact()));
        }
    }

    /// Every figure, also those that are folded away.
    pub fn figures(&self) -> Vec<&Figure> {
        fn walk<'a>(blocks: &'a [Block], found: &mut Vec<&'a Figure>) {
            for block in blocks {
                match block {
                    Block::Figure(figure) => found.push(figure),
                    Block::Details(_, inner) => walk(inner, found),
                    _ => {}
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.blocks, &mut found);
        found
    }
}

/// GitHub's markdown. Figures are links to `<name>.svg`.
pub fn markdown(blocks: &[Block]) -> String {
    let mut out = String::new();
    for block in blocks {
        match block {
            Block::Heading(text) => _ = write!(out, "### {}\n\n", in_markdown(text)),
            Block::Paragraph(text) => _ = write!(out, "{}\n\n", in_markdown(text)),
            Block::Note(text) => _ = write!(out, "> {}\n\n", in_markdown(text)),
            Block::List(items) => {
                items.iter().for_each(|item| _ = writeln!(out, "- {}", in_markdown(item)));
                out += "\n";
            }
            Block::Table(table) => _ = writeln!(out, "{}", table.markdown()),
            Block::Code(language, text) => {
                let fence = fence(text);
                _ = write!(out, "{fence}{language}\n{}\n{fence}\n\n", text.trim_end());
            }
            Block::Figure(figure) => _ = write!(out, "![{}]({}.svg)\n\n", in_markdown(&figure.caption), figure.name),
            Block::Gallery(_) => {}
            Block::Details(summary, inner) => {
                let summary = in_html(summary);
                _ = write!(out, "<details>\n<summary>{summary}</summary>\n\n{}</details>\n\n", markdown(inner));
            }
        }
    }
    out
}

/// Longer than any run of backticks in the text.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat((longest + 1).max(3))
}

/// The elements of a page.
pub fn html(blocks: &[Block]) -> String {
    let mut out = String::new();
    for block in blocks {
        match block {
            Block::Heading(text) => _ = writeln!(out, "<h3>{}</h3>", in_html(text)),
            Block::Paragraph(text) => _ = writeln!(out, "<p>{}</p>", in_html(text)),
            Block::Note(text) => _ = writeln!(out, "<p class=\"note\">{}</p>", in_html(text)),
            Block::List(items) => {
                let items: Vec<String> = items.iter().map(|item| format!("<li>{}</li>", in_html(item))).collect();
                _ = writeln!(out, "<ul>{}</ul>", items.concat());
            }
            Block::Table(table) => out += &table.html(),
            Block::Code(_, text) => _ = writeln!(out, "<pre><code>{}</code></pre>", escape_html(text)),
            Block::Figure(figure) => {
                _ = writeln!(
                    out,
                    "<figure>{}<figcaption>{}</figcaption></figure>",
                    figure.svg,
                    in_html(&figure.caption)
                );
            }
            Block::Gallery(pictures) => {
                let picture = |(source, what): &(String, String)| {
                    let what = in_html(what);
                    format!(
                        "<figure><img src=\"{}\" alt=\"\"><figcaption>{what}</figcaption></figure>",
                        escape_html(source)
                    )
                };
                _ = writeln!(out, "<div class=\"gallery\">{}</div>", pictures.iter().map(picture).collect::<String>());
            }
            Block::Details(summary, inner) => {
                _ = writeln!(out, "<details><summary>{}</summary>{}</details>", in_html(summary), html(inner));
            }
        }
    }
    out
}

/// Text between marks: (text, is a name).
fn spans(text: &str) -> impl Iterator<Item = (&str, bool)> {
    text.split('`').enumerate().map(|(i, part)| (part, i % 2 == 1))
}

/// Only what would change how the rest of the page is read is escaped, so that the source stays legible.
fn in_markdown(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    let span = |(part, is_name): (&str, bool)| match is_name {
        true => format!("`{part}`"),
        false => part.replace('\\', "\\\\").replace('<', "\\<").replace('|', "\\|"),
    };
    spans(&text).map(span).collect()
}

fn in_html(text: &str) -> String {
    let strong = |part: &str| {
        let parts = part.split("**").enumerate();
        parts.map(|(i, p)| if i % 2 == 1 { format!("<strong>{p}</strong>") } else { p.to_owned() }).collect::<String>()
    };
    let span = |(part, is_name): (&str, bool)| match is_name {
        true => format!("<code>{}</code>", escape_html(part)),
        false => strong(&escape_html(part)),
    };
    spans(text).map(span).collect()
}

/// For text and quoted attributes.
pub fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "<script>alert(1)</script> & \"x\" | y\\";

    #[test]
    fn what_people_wrote_stays_text() {
        let blocks = [
            Block::Paragraph(HOSTILE.to_owned()),
            Block::List(vec![HOSTILE.to_owned()]),
            Block::Code("yaml", format!("{HOSTILE}\n```\n")),
            Block::Details(HOSTILE.to_owned(), vec![Block::Heading(HOSTILE.to_owned())]),
            Block::Table(Table { header: vec![HOSTILE.to_owned()], rows: vec![vec![HOSTILE.to_owned()]] }),
        ];
        assert!(!html(&blocks).contains("<script"), "{}", html(&blocks));
        let page = markdown(&blocks);
        assert!(page.contains("````yaml\n"), "a fence longer than those inside: {page}");
        let outside: String = page.split("````").step_by(2).collect();
        assert!(!outside.replace("\\<", "").contains("<script"), "{page}");
    }

    #[test]
    fn marks_are_names_and_what_matters() {
        let text = "`a*b` beats **all** of `<c>`";
        assert_eq!(in_html(text), "<code>a*b</code> beats <strong>all</strong> of <code>&lt;c&gt;</code>");
        assert_eq!(in_markdown(text), text);
    }
}

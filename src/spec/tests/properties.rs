//! No input makes the reader panic, hang or fill the memory.

use std::time::Instant;

use proptest::prelude::*;

use super::{COMPARISON, FINE_TUNING, Project};

fn load(text: &str) -> Result<crate::spec::Experiment, crate::spec::Diagnostics> {
    Project::new(&[("experiments/x.yaml", text), ("pipelines/fine-tuning.yaml", FINE_TUNING)])
        .load("experiments/x.yaml", &[])
}

#[test]
fn hostile_texts_are_errors() {
    let bomb = |depth: usize| {
        let levels = (1..depth).map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", ")));
        format!("a0: &a0 [x]\n{}stages: *a{}\n", levels.collect::<String>(), depth - 1)
    };
    let cases = [
        ("bomb", bomb(9)),
        ("wide bomb", format!("a: &a [{}]\nstages: [{}]\n", "x, ".repeat(50_000), "*a, ".repeat(50_000))),
        ("brackets", "[".repeat(1 << 20)),
        ("braces", "{a: ".repeat(300_000)),
        ("dashes", "- ".repeat(500_000)),
        ("questions", "? ".repeat(500_000)),
        ("stairs", (0..1400).map(|i| format!("{}a:\n", " ".repeat(i))).collect()),
        ("self", "stages: &a { x: *a }".into()),
        ("noise", (0..1 << 20).map(|i: u32| char::from((i.wrapping_mul(2_654_435_761) >> 24) as u8)).collect()),
        ("keys", "stages: { ? { a: b } : c, ? [d] : e, 1: f, true: g, null: h }".into()),
        ("unknown alias", "stages: *nobody".into()),
        ("tags", "!a { !b stages: !c [ !d e ] }".into()),
        (
            "many",
            format!("stages:\n{}", (0..20_000).map(|i| format!("  s{i}: {{ evaluat: {{}} }}\n")).collect::<String>()),
        ),
        ("directives", "%YAML 9.9\n%TAG ! x\n--- a".into()),
        ("long", format!("stages: {}", "x".repeat(1 << 20))),
        ("huge number", "stages: 123456789012345678901234567890123456789012345678901234567890".into()),
        ("controls", "stages: \"\\u0000\\e[31m\"".into()),
        ("end", "...\n...\n".into()),
    ];
    for (name, text) in cases {
        let start = Instant::now();
        let error = load(&text).expect_err(name);
        assert!(error.errors() > 0 && error.0.len() <= 101, "{name}");
        let shown = error.to_string();
        assert!(!shown.contains('\u{1b}') && !shown.contains('\0'), "{name}");
        println!("{name}: {:?} {}", start.elapsed(), error.0[0].one_line().chars().take(150).collect::<String>());
        assert!(start.elapsed().as_secs_f64() < 3.0, "{name}: {:?}", start.elapsed());
    }
    let bytes = Project::new(&[("x.yaml", "")]);
    std::fs::write(bytes.path("x.yaml"), [b'a', 0xff, 0xfe]).unwrap();
    assert!(bytes.load("x.yaml", &[]).unwrap_err().to_string().contains("not UTF-8"));
}

/// A text with a few pieces cut out, doubled, or replaced.
fn mutated(text: &'static str) -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "", " ", "\n", "\t", ":", ": ", "- ", "{", "}", "[", "]", "\"", "'", "#", "&a ", "*a", "!x ", "${", "${lr}",
        "}", "|", ">", "null", "-1", "1e999", ".nan", "true", "é", "\u{feff}", "\0", "---\n", "? ", "<<: ", "%", "@",
        "0x1F", "1_000", "~", "~: ~",
    ]);
    let edit = (any::<prop::sample::Index>(), 0usize..12, pieces, any::<bool>());
    prop::collection::vec(edit, 1..6).prop_map(move |edits| {
        let mut chars: Vec<char> = text.chars().collect();
        for (at, length, piece, double) in edits {
            let start = at.index(chars.len() + 1);
            let end = (start + length).min(chars.len());
            let removed: Vec<char> = if double { chars[start..end].to_vec() } else { Vec::new() };
            let added: Vec<char> = removed.iter().chain(&removed).copied().chain(piece.chars()).collect();
            chars.splice(start..end, added);
        }
        chars.into_iter().collect()
    })
}

/// Whatever was loaded resolves; whatever was not says where, inside the text.
fn holds(text: &str) {
    match load(text) {
        Ok(experiment) => {
            for arm in &experiment.arms {
                arm.resolve(&arm.first_assignment()).unwrap();
            }
        }
        Err(diagnostics) => {
            assert!(diagnostics.errors() > 0);
            for d in &diagnostics.0 {
                let within = d.source_line.chars().count() + 1;
                assert!(d.line >= 1 && (1..=within).contains(&d.column) && d.width >= 1, "{d:?}");
            }
            let _ = diagnostics.to_string();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_experiments_never_panic(text in mutated(COMPARISON)) {
        holds(&text);
    }

    #[test]
    fn mutated_pipelines_never_panic(text in mutated(FINE_TUNING)) {
        holds(&text);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        holds(&format!("stages: {text}"));
        holds(&text);
    }
}

/// SplitMix64 (Steele, Lea & Flood 2014), by what it is seeded with.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// What is in the folders of examples, by name: the experiments name the pipelines by relative paths.
fn examples() -> Vec<(String, String)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["pipelines", "experiments"];
    let paths =
        folders.iter().flat_map(|folder| root.join(folder).read_dir().unwrap()).map(|entry| entry.unwrap().path());
    let yaml = paths.filter(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    let read = yaml.map(|path| {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(path).unwrap())
    });
    let mut all: Vec<_> = read.collect();
    all.sort();
    all
}

/// A hundred thousand files that are almost right: lines cut, swapped, doubled and indented anew, characters and words
/// replaced. Each is loaded as it would be from the command line; none may panic, and none may take long.
#[test]
fn a_hundred_thousand_mutated_examples_are_read_or_refused() {
    use rayon::prelude::*;

    const FILES: u64 = 100_000;
    const PIECES: [&str; 32] = [
        " ", "  ", "\n", "\t", ":", ": ", "- ", "{", "}", "[", "]", "\"", "'", "#", "&a ", "*a", "!x ", "${", "${lr}",
        "|", ">", "null", "-1", "1e999", ".nan", "yes", "<<: ", "---\n", "? ", "\u{feff}", "0x1F", "~",
    ];
    let examples = examples();
    let words: Vec<&str> = examples.iter().flat_map(|(_, text)| text.split_whitespace()).collect();
    let mutate = |text: &str, draws: &mut Draws| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for _ in 0..=draws.below(3) {
            let at = draws.below(lines.len() as u64) as usize;
            let other = draws.below(lines.len() as u64) as usize;
            match draws.below(8) {
                0 => drop(lines.remove(at)),
                1 => lines.swap(at, other),
                2 => lines.insert(at, lines[other].clone()),
                3 => lines[at] = format!(" {}", lines[at]),
                4 => lines[at] = lines[at].trim_start().to_owned(),
                5 => {
                    let chosen = words[draws.below(words.len() as u64) as usize];
                    let mut parts: Vec<&str> = lines[at].split(' ').collect();
                    let part = draws.below(parts.len() as u64) as usize;
                    parts[part] = chosen;
                    lines[at] = parts.join(" ");
                }
                _ => {
                    let piece = PIECES[draws.below(PIECES.len() as u64) as usize];
                    let chars: Vec<char> = lines[at].chars().collect();
                    let from = draws.below(chars.len() as u64 + 1) as usize;
                    let to = (from + draws.below(4) as usize).min(chars.len());
                    let (before, after): (String, String) =
                        (chars[..from].iter().collect(), chars[to..].iter().collect());
                    lines[at] = format!("{before}{piece}{after}");
                }
            }
            if lines.is_empty() {
                break;
            }
        }
        lines.join("\n")
    };
    let slowest = (0..FILES)
        .into_par_iter()
        .map_init(
            || {
                let files: Vec<(&str, &str)> =
                    examples.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
                Project::new(&files)
            },
            |project, number| {
                let (name, text) = &examples[(number % examples.len() as u64) as usize];
                let text = mutate(text, &mut Draws(number));
                // A file of its own: to write over one again and again waits for the disk.
                let name = &name.replace(".yaml", &format!("-{number}.yaml"));
                std::fs::write(project.path(name), &text).unwrap();
                let start = Instant::now();
                match project.load(name, &[]) {
                    Ok(experiment) => assert!(!experiment.arms.is_empty()),
                    Err(diagnostics) => {
                        assert!(diagnostics.errors() > 0, "{text}");
                        assert!(!diagnostics.to_string().is_empty());
                    }
                }
                let taken = start.elapsed();
                std::fs::remove_file(project.path(name)).unwrap();
                taken
            },
        )
        .max()
        .unwrap();
    println!("the slowest took {slowest:?}");
    assert!(slowest.as_secs_f64() < 5.0, "{slowest:?}");
}

//! The documents speak of what is there: links, files, crates, dependencies, decision records, configuration statements, the lab's
//! scenarios.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use holdfast_lab::{
    gateway::{GatewayLoss, judge::Interruption},
    interop::Interop,
    result::{GapResult, SessionResult},
    scenario::Scenario,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files below a folder whose names end like this; not what is built.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        match entry.is_dir() {
            true if name == "target" || name.starts_with('.') => {}
            true => found.extend(files(&entry, ending)),
            false if name.ends_with(ending) => found.push(entry),
            false => {}
        }
    }
    found
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A heading as it is linked to.
fn anchor(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    heading.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

#[test]
fn links_lead_somewhere() {
    let mut faults = Vec::new();
    for document in files(&root(), ".md") {
        let text = read(&document);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { document.clone() } else { document.with_file_name("").join(file) };
            let there = target.exists()
                && (place.is_empty()
                    || read(&target).lines().any(|line| line.starts_with('#') && anchor(line) == place));
            if !there {
                faults.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert_none(&faults);
}

/// `a/{b,c}/d`: with each of the alternatives.
fn expanded(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let Some((inside, after)) = rest.split_once('}') else { return vec![path.to_owned()] };
    inside.split(',').flat_map(|one| expanded(&format!("{before}{one}{after}"))).collect()
}

#[test]
fn files_that_are_named_exist() {
    let rooms = ["proto", "yang", "libs", "engines", "daemons", "lab", "tests", "xtask", "fuzz", "docs"];
    // Written by a run of the fuzzer.
    let made = ["fuzz/corpus", "fuzz/seeds/TARGET"];
    let mut faults = Vec::new();
    for document in files(&root(), ".md") {
        for quoted in read(&document).split('`').skip(1).step_by(2) {
            for word in quoted.split([' ', '\n']) {
                let begins = word.split_once('/').is_some_and(|(room, _)| rooms.contains(&room));
                if !begins || word.contains('*') || made.iter().any(|made| word.starts_with(made)) {
                    continue;
                }
                let missing = expanded(word).into_iter().filter(|path| !root().join(path).exists());
                faults.extend(missing.map(|path| format!("{}: {path}", document.display())));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn crates_and_tests_that_are_named_exist() {
    let manifests = files(&root(), "Cargo.toml");
    let crates: BTreeSet<String> = manifests.iter().filter_map(|path| package(&read(path))).collect();
    let tests: BTreeSet<String> = files(&root(), ".rs")
        .iter()
        .filter(|path| path.components().any(|part| part.as_os_str() == "tests"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    let mut faults = Vec::new();
    for document in files(&root(), ".md") {
        let text = read(&document);
        let words: Vec<&str> =
            text.split_whitespace().map(|word| word.trim_matches(['`', '.', ',', ')', ';'])).collect();
        for pair in words.windows(2) {
            let known = match pair[0] {
                "-p" => crates.contains(pair[1]),
                "--test" => tests.contains(pair[1]),
                _ => continue,
            };
            if !known {
                faults.push(format!("{}: {} {}", document.display(), pair[0], pair[1]));
            }
        }
    }
    assert_none(&faults);
}

fn package(manifest: &str) -> Option<String> {
    let name = manifest.lines().find_map(|line| line.strip_prefix("name = "))?;
    Some(name.trim_matches('"').to_owned())
}

/// Dependencies on crates of others in one manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            inside = section.contains("dependencies");
        } else if let Some((name, _)) = line.split_once('=').filter(|_| inside) {
            let name = name.trim();
            if !name.starts_with("holdfast-") && !name.is_empty() && !name.starts_with('#') {
                found.push(name.to_owned());
            }
        }
    }
    found
}

#[test]
fn every_dependency_has_its_line_with_those_who_use_it() {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let manifests = files(&root(), "Cargo.toml");
    for manifest in manifests.iter().filter(|path| path.parent() != Some(&root())) {
        let text = read(manifest);
        let user = package(&text).unwrap_or_default().trim_start_matches("holdfast-").to_owned();
        for name in dependencies(&text) {
            used.entry(name).or_default().insert(user.clone());
        }
    }
    let document = read(&root().join("docs/dependencies.md"));
    let rows: Vec<(BTreeSet<&str>, BTreeSet<String>)> = document
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(|line| {
            let mut cells = line.split('|').skip(1);
            let words = |cell: &'_ str| {
                cell.split(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '-' | '_'))
                    .map(str::to_owned)
                    .collect()
            };
            let (names, users) = (cells.next()?, cells.next()?);
            Some((
                names.split(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '-' | '_')).collect(),
                words(users),
            ))
        })
        .collect();
    let mut faults = Vec::new();
    for (name, users) in used {
        let Some((_, stated)) = rows.iter().find(|(names, _)| names.contains(name.as_str())) else {
            faults.push(format!("{name} has no line"));
            continue;
        };
        let missing: Vec<_> = users.iter().filter(|user| !stated.contains(*user) && !stated.contains("all")).collect();
        if !missing.is_empty() {
            faults.push(format!("{name} is used by {missing:?}, too"));
        }
        let known = |word: &&String| {
            manifests
                .iter()
                .any(|path| package(&read(path)).is_some_and(|name| name.trim_start_matches("holdfast-") == **word))
        };
        for user in stated.iter().filter(known).filter(|user| !users.contains(*user)) {
            faults.push(format!("{name} is not used by {user}"));
        }
    }
    assert_none(&faults);
}

#[test]
fn decision_records_are_listed_by_their_titles() {
    let folder = root().join("docs/adr");
    let list = read(&folder.join("README.md"));
    let mut faults = Vec::new();
    for record in files(&folder, ".md").iter().filter(|path| !path.ends_with("README.md")) {
        let name = record.file_name().and_then(|name| name.to_str()).expect("a name");
        let text = read(record);
        let heading = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
        let (number, title) = heading.split_once(". ").unwrap_or_default();
        if !list.contains(&format!("| [{number}]({name}) | {title} |")) {
            faults.push(format!("{name}: {heading}"));
        }
    }
    assert_none(&faults);
}

#[test]
fn every_configuration_statement_is_described() {
    let documents: String =
        ["operations.md", "policy.md", "bgp-routes.md"].map(|name| read(&root().join("docs").join(name))).concat();
    let words: BTreeSet<&str> =
        documents.split(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '-' | '_')).collect();
    let mut faults = Vec::new();
    for module in files(&root().join("yang"), ".yang") {
        let text = read(&module);
        // Keys stand without their names.
        let keys: BTreeSet<&str> = text
            .split("key \"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .flat_map(|keys| keys.split(' '))
            .collect();
        for line in text.lines().map(str::trim_start) {
            let statement =
                ["leaf ", "leaf-list ", "container ", "list "].iter().find_map(|kind| line.strip_prefix(kind));
            let Some(name) = statement.and_then(|rest| rest.split([' ', '{']).next()) else { continue };
            if !words.contains(name) && !keys.contains(name) {
                faults.push(format!("{}: {name}", module.display()));
            }
        }
    }
    assert_none(&faults);
}

/// Keys of what was made of an object.
fn keys(value: serde_json::Result<serde_json::Value>) -> Vec<String> {
    let value = value.expect("it serialises");
    value.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default()
}

fn assert_described(document: &str, names: impl IntoIterator<Item = String>) {
    let text = read(&root().join(document));
    let words: BTreeSet<&str> =
        text.split(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '-' | '_')).collect();
    let missing = names.into_iter().filter(|name| !words.contains(name.as_str()));
    assert_none(&missing.map(|name| format!("{document} does not speak of {name}")).collect::<Vec<_>>());
}

#[test]
fn every_scenario_and_what_it_is_written_with_is_described() {
    let built_in = Scenario::built_in();
    let mut names: BTreeSet<String> = built_in.iter().map(|scenario| scenario.name.clone()).collect();
    // The second of a pair stands beside the first as `-2`.
    names.extend(Interop::built_in().into_iter().map(|scenario| scenario.name.trim_end_matches("-2").to_owned()));
    names.extend(GatewayLoss::built_in().into_iter().map(|scenario| scenario.name.to_owned()));
    for scenario in &built_in {
        names.extend(keys(serde_json::to_value(scenario)));
        names.extend(keys(serde_json::to_value(scenario.bars)));
        for step in &scenario.steps {
            let step = serde_json::to_value(step);
            names.extend(step.as_ref().ok().and_then(|step| step.as_str()).map(str::to_owned));
            names.extend(keys(step));
        }
    }
    assert_described("docs/lab.md", names);
}

#[test]
fn every_key_of_a_session_and_of_an_interruption_in_the_labs_result_is_described() {
    let gap = GapResult { median_ms: Some(1.0), ..GapResult::default() };
    assert_described("docs/lab.md", keys(serde_json::to_value(SessionResult::default())));
    assert_described("docs/lab.md", keys(serde_json::to_value(gap)));
    assert_described("docs/lab.md", keys(serde_json::to_value(Interruption::default())));
}

//! The pages as a site: each is in its table of contents, and each link leads somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::{ROOT, pages, prose, read};

const CONTENTS: &str = "docs/SUMMARY.md";
#[test]
fn every_page_is_in_the_table_of_contents_once() {
    let text = read(CONTENTS);
    let mut listed = BTreeMap::<String, usize>::new();
    for link in links(&text) {
        *listed.entry(beside(CONTENTS, &link)).or_default() += 1;
    }
    let mut wrong: Vec<_> = pages()
        .into_iter()
        .filter(|page| page != CONTENTS && !listed.contains_key(page))
        .map(|page| {
            let link = page.strip_prefix("docs/").map_or_else(|| format!("../{page}"), str::to_owned);
            let title =
                read(&page).lines().find_map(|line| line.strip_prefix("# ")).unwrap_or("TITLE").to_owned();
            format!("{page} is missing; add the line `- [{title}]({link})` where it belongs")
        })
        .collect();
    wrong.extend(
        listed.iter().filter(|(_, times)| **times > 1).map(|(page, _)| format!("{page} is there twice")),
    );
    assert!(wrong.is_empty(), "{CONTENTS}:\n{}", wrong.join("\n"));
}

/// Whoever reads the README finds each page of the product there. The runbooks are found by the page that it names for them.
#[test]
fn every_page_of_the_table_of_contents_is_linked_from_the_readme_or_is_a_runbook() {
    let linked = |page: &str| -> BTreeSet<String> {
        links(&read(page))
            .iter()
            .map(|link| beside(page, link.split('#').next().unwrap_or_default()))
            .collect()
    };
    let (first, runbooks) = (linked("README.md"), linked("docs/monitoring.md"));
    let listed = links(&read(CONTENTS)).into_iter().map(|link| beside(CONTENTS, &link));
    let pages: Vec<_> = listed.filter(|page| page.starts_with("docs/")).collect();
    let missing: Vec<_> = pages
        .iter()
        .filter(|page| !first.contains(*page))
        .filter(|page| !(page.starts_with("docs/runbooks/") && runbooks.contains(*page)))
        .collect();
    assert!(pages.len() > 40 && missing.is_empty(), "README.md has no row for {missing:?}");
    assert!(first.contains("docs/monitoring.md"), "the runbooks are reached by it");
}

/// A link holds in the repository and on the site, which has the pages, the pictures beside them, and the examples.
#[test]
fn every_link_leads_to_a_page_and_a_heading_of_the_site() {
    let all: BTreeSet<_> = pages().into_iter().filter(|page| page != CONTENTS).collect();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for page in pages() {
        let text = read(&page);
        for link in links(&text) {
            let (path, anchor) =
                link.split_once('#').map_or((&*link, None), |(path, anchor)| (path, Some(anchor)));
            let to = if path.is_empty() { page.clone() } else { beside(&page, path) };
            let carried = ["docs/", "examples/"].iter().any(|folder| to.starts_with(folder));
            let there = Path::new(ROOT).join(&to).is_file() && to != CONTENTS;
            if !there || !(carried || all.contains(&to)) {
                wrong.push(format!(
                    "{page} links {link}: the site has no such page or file; write it as `code`"
                ));
            } else if anchor.is_some_and(|anchor| !headings(&read(&to)).contains(anchor)) {
                wrong.push(format!("{page} links {link}: {to} has no such heading"));
            }
            checked += 1;
        }
        let (used, defined) = references(&text);
        for name in used.symmetric_difference(&defined) {
            wrong.push(format!(
                "{page}: the reference [{name}] is used without an address, or the other way round"
            ));
        }
    }
    assert!(wrong.is_empty() && checked > 100, "{}", wrong.join("\n"));
}

#[test]
fn a_heading_is_found_as_git_forges_and_the_site_name_it() {
    let page = "# `lint -f PATH…`\n\n```sh\n# no heading\n```\n## Quem é?\n## Quem é?\n";
    let names: Vec<_> = headings(page).into_iter().collect();
    assert_eq!(names, ["lint--f-path", "quem-é", "quem-é-1"]);
}

/// Where the links of a page lead, but for other sites.
pub fn links(text: &str) -> Vec<String> {
    let text = without_code(text);
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

/// The names in `[text][name]`, and those of lines `[name]: address`.
fn references(text: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let text = without_code(text);
    let used =
        text.split("][").skip(1).filter_map(|rest| rest.split(']').next()).map(str::to_owned).collect();
    let defined = text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: http"));
    (used, defined.map(|(name, _)| name.to_owned()).collect())
}

fn without_code(text: &str) -> String {
    prose(text).lines().map(|line| line.split('`').step_by(2).collect::<String>() + "\n").collect()
}

/// A path from the root for one that is read from the folder of a page.
pub fn beside(page: &str, path: &str) -> String {
    let mut at = PathBuf::new();
    let folder = Path::new(page).parent().unwrap_or(Path::new(""));
    for part in folder.join(path).components() {
        match part {
            Component::ParentDir => {
                at.pop();
            }
            part => at.push(part),
        }
    }
    at.display().to_string()
}

/// The anchors of a page: lower case, blanks as hyphens, no other punctuation; a second one of a name gets a number.
fn headings(text: &str) -> BTreeSet<String> {
    let text = prose(text);
    let titles =
        text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let mut times = BTreeMap::<String, usize>::new();
    let mut found = BTreeSet::new();
    for title in titles {
        let plain = title.to_lowercase().replace(char::is_whitespace, "-");
        let plain: String = plain.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect();
        let before = times.entry(plain.clone()).or_default();
        found.insert(if *before == 0 { plain } else { format!("{plain}-{before}") });
        *before += 1;
    }
    found
}

//! Which file of a tree uses which, and by which names.
//!
//! It reads the modules from `lib.rs` and `main.rs` on, and follows every path to the file that defines what the path
//! names: through `use` with all its forms, renames, globs and re-exports. It knows no rule. Code for tests is left
//! out. A method ties only where it stands in another file than its type, and only on `self` and on arguments.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{Item, UseTree, Visibility, ext::IdentExt, visit::Visit};

/// The library, as the binary names it.
const LIBRARY: &str = "whatsapp_operator";

/// Source texts by their paths below the root of the tree: `src/lib.rs`.
pub type Sources = BTreeMap<String, String>;

/// One file uses a name of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    pub from: String,
    /// The file that defines the name.
    pub to: String,
    pub name: String,
    /// The module that the path as written asks for the name. It differs from the one of `to` where it re-exports.
    pub asked: String,
    /// The name is a module, of which nothing is used yet.
    pub is_module: bool,
}

/// The files of a tree and what ties them.
#[derive(Default)]
pub struct Graph {
    /// Files of the product, each with its module: `src/meta/port.rs` is `meta::port`.
    pub files: BTreeMap<String, String>,
    /// Files that only tests see.
    pub tests: BTreeSet<String>,
    /// Files that no `mod` declares.
    pub apart: BTreeSet<String>,
    pub uses: BTreeSet<Use>,
    /// Crates by the file that names them.
    pub crates: BTreeMap<String, BTreeSet<String>>,
    modules: Vec<Module>,
}

impl Graph {
    /// Reads `src` of a folder.
    pub fn read(root: &Path) -> Self {
        fn collect(root: &Path, folder: &Path, sources: &mut Sources) {
            for entry in fs::read_dir(folder).expect("a folder").filter_map(Result::ok) {
                let path = entry.path();
                if path.is_dir() {
                    collect(root, &path, sources);
                } else if path.extension().is_some_and(|end| end == "rs") {
                    let name =
                        path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
                    sources.insert(name, fs::read_to_string(&path).expect("a source is text"));
                }
            }
        }
        let mut sources = Sources::new();
        collect(root, &root.join("src"), &mut sources);
        Self::of(&sources)
    }

    pub fn of(sources: &Sources) -> Self {
        let mut tree = Tree { sources, modules: Vec::new(), items: Vec::new(), apart: BTreeMap::new() };
        let roots = ["src/lib.rs", "src/main.rs"];
        for root in roots.into_iter().filter(|root| sources.contains_key(*root)) {
            let name = root.trim_start_matches("src/").trim_end_matches(".rs");
            let path = if name == "main" { "main".to_owned() } else { String::new() };
            tree.load(root, path, None, false);
        }
        tree.find_apart();
        let mut graph = Self::default();
        for module in &tree.modules {
            if module.is_test {
                graph.tests.insert(module.file.clone());
            } else if !module.is_inline {
                graph.files.insert(module.file.clone(), module.path.clone());
            }
        }
        graph.tests.retain(|file| !graph.files.contains_key(file));
        let known = |file: &&String| !graph.files.contains_key(*file) && !graph.tests.contains(*file);
        graph.apart = sources.keys().filter(known).cloned().collect();
        for at in 0..tree.modules.len() {
            if !tree.modules[at].is_test {
                let mut reader = Reader {
                    tree: &tree,
                    at,
                    locals: BTreeSet::new(),
                    types: BTreeMap::new(),
                    graph: &mut graph,
                };
                for item in &tree.items[at] {
                    reader.visit_item(item);
                }
            }
        }
        graph.modules = tree.modules;
        graph
    }

    /// The file of a module by its path, and through re-exports: `engine::reason`.
    pub fn file_of(&self, path: &str) -> Option<&str> {
        let segments: Vec<String> =
            ["crate"].into_iter().chain(path.split("::")).map(str::to_owned).collect();
        let found = find(&self.modules, 0, &segments, &mut BTreeSet::new());
        found.into_iter().find_map(|found| match found.what {
            What::Module(at) => Some(&*self.modules[at].file),
            What::Item { .. } => None,
        })
    }

    /// Loops of files that use each other, each as a sentence. Every circle of the tree is cut once all are.
    pub fn circles(&self) -> Vec<String> {
        let mut arrows: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
        for tie in self.uses.iter().filter(|tie| !tie.is_module) {
            arrows.entry(&tie.from).or_default().entry(&tie.to).or_default().insert(&tie.name);
        }
        let mut told = Vec::new();
        while let Some(around) = shortest_loop(&arrows) {
            let next = |n: usize| around[(n + 1) % around.len()];
            let names = |n: usize| &arrows[around[n]][next(n)];
            let thinnest = (0..around.len()).min_by_key(|n| names(*n).len()).expect("a loop has an arrow");
            let ties: Vec<String> = (0..around.len())
                .map(|n| format!("{} uses {} of {}", around[n], listed(names(n)), next(n)))
                .collect();
            told.push(format!(
                "{} files use each other in a circle: {}. Move {} to {}, or to a file that both may use.",
                around.len(),
                ties.join("; "),
                listed(names(thinnest)),
                around[thinnest],
            ));
            let (from, to) = (around[thinnest], next(thinnest));
            arrows.get_mut(from).expect("an arrow").remove(to);
        }
        told
    }
}

fn listed(names: &BTreeSet<&str>) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The shortest way from a file back to itself; of several, the first by name.
fn shortest_loop<'a>(
    arrows: &BTreeMap<&'a str, BTreeMap<&'a str, BTreeSet<&'a str>>>,
) -> Option<Vec<&'a str>> {
    let mut best: Option<Vec<&str>> = None;
    for start in arrows.keys() {
        let mut ways = vec![vec![*start]];
        let mut seen = BTreeSet::new();
        while !ways.is_empty() && best.as_ref().is_none_or(|best| ways[0].len() < best.len()) {
            let mut further = Vec::new();
            for way in ways {
                let last = way.last().expect("a way has a start");
                for next in arrows.get(last).into_iter().flat_map(BTreeMap::keys) {
                    if next == start && best.as_ref().is_none_or(|best| way.len() < best.len()) {
                        best = Some(way.clone());
                    }
                    if seen.insert(*next) {
                        further.push(way.iter().copied().chain([*next]).collect());
                    }
                }
            }
            ways = further;
        }
    }
    best
}

struct Module {
    file: String,
    /// Its path from the root of the crate.
    path: String,
    /// Where the files of its children are.
    folder: String,
    parent: Option<usize>,
    root: usize,
    is_test: bool,
    is_inline: bool,
    names: BTreeMap<String, Vec<Bound>>,
    globs: Vec<Vec<String>>,
}

/// What a name in a module stands for.
#[derive(Clone, Debug)]
enum Bound {
    Module(usize),
    Here,
    Import(Vec<String>),
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Module(usize),
    Item { module: usize, name: String },
}

#[derive(Clone, Debug)]
struct Found {
    what: What,
    /// The module that was asked last.
    asked: usize,
}

/// A leaf of a `use` tree.
struct Leaf {
    path: Vec<String>,
    /// The name that it binds; none for a glob and for `_`.
    name: Option<String>,
    is_glob: bool,
}

struct Tree<'a> {
    sources: &'a Sources,
    modules: Vec<Module>,
    /// The items of each module.
    items: Vec<Vec<Item>>,
    /// Methods that stand in another file than their type, with that file.
    apart: BTreeMap<(What, String), String>,
}

impl Tree<'_> {
    fn load(&mut self, file: &str, path: String, parent: Option<usize>, is_test: bool) -> usize {
        let text = self.sources.get(file).unwrap_or_else(|| panic!("{file} is declared and is not there"));
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let (folder, name) = file.rsplit_once('/').expect("a file in src");
        let folder = match name {
            "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
            name => format!("{folder}/{}", name.trim_end_matches(".rs")),
        };
        self.add((file.to_owned(), folder, path), parent, is_test, false, parsed.items)
    }

    fn add(
        &mut self,
        (file, folder, path): (String, String, String),
        parent: Option<usize>,
        is_test: bool,
        is_inline: bool,
        items: Vec<Item>,
    ) -> usize {
        let at = self.modules.len();
        let root = parent.map_or(at, |parent| self.modules[parent].root);
        let (names, globs) = (BTreeMap::new(), Vec::new());
        self.modules.push(Module { file, path, folder, parent, root, is_test, is_inline, names, globs });
        self.items.push(Vec::new());
        for item in &items {
            self.declare(at, item);
        }
        self.items[at] = items;
        at
    }

    fn bind(&mut self, at: usize, name: &syn::Ident, bound: Bound) {
        self.modules[at].names.entry(name.unraw().to_string()).or_default().push(bound);
    }

    fn import(&mut self, at: usize, tree: &UseTree) {
        for leaf in leaves(tree) {
            if leaf.is_glob {
                self.modules[at].globs.push(leaf.path);
            } else if let Some(name) = leaf.name {
                self.modules[at].names.entry(name).or_default().push(Bound::Import(leaf.path));
            }
        }
    }

    fn declare(&mut self, at: usize, item: &Item) {
        if let Item::Mod(item) = item {
            return self.declare_module(at, item);
        }
        if is_for_tests(attributes(item)) {
            return;
        }
        let name = match item {
            Item::Const(item) => Some(&item.ident),
            Item::Enum(item) => Some(&item.ident),
            Item::Fn(item) => Some(&item.sig.ident),
            Item::Macro(item) => item.ident.as_ref(),
            Item::Static(item) => Some(&item.ident),
            Item::Struct(item) => Some(&item.ident),
            Item::Trait(item) => Some(&item.ident),
            Item::Type(item) => Some(&item.ident),
            Item::Union(item) => Some(&item.ident),
            _ => None,
        };
        if let Some(name) = name {
            self.bind(at, name, Bound::Here);
        }
        // Those inside of functions too: they bind no less than those of the module.
        let mut inner = Imports(Vec::new());
        inner.visit_item(item);
        for tree in inner.0 {
            self.import(at, &tree);
        }
    }

    fn declare_module(&mut self, at: usize, item: &syn::ItemMod) {
        let name = item.ident.unraw().to_string();
        let is_test = self.modules[at].is_test || is_for_tests(&item.attrs);
        let Module { path, folder, file, .. } = &self.modules[at];
        let path = if path.is_empty() { name.clone() } else { format!("{path}::{name}") };
        let child = if let Some((_, items)) = &item.content {
            let place = (file.clone(), format!("{folder}/{name}"), path);
            self.add(place, Some(at), is_test, true, items.clone())
        } else {
            let stated = item.attrs.iter().find_map(|attribute| match &attribute.meta {
                syn::Meta::NameValue(pair) if pair.path.is_ident("path") => text_of(&pair.value),
                _ => None,
            });
            let file = match stated {
                Some(stated) => format!("{}/{stated}", file.rsplit_once('/').expect("a file in src").0),
                None => [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")]
                    .into_iter()
                    .find(|file| self.sources.contains_key(file))
                    .unwrap_or_else(|| panic!("{file} declares {name}, which is in no file")),
            };
            self.load(&file, path, Some(at), is_test)
        };
        self.bind(at, &item.ident, Bound::Module(child));
    }

    /// Finds the methods that stand apart from their type.
    fn find_apart(&mut self) {
        let mut apart = BTreeMap::new();
        for (at, module) in self.modules.iter().enumerate().filter(|(_, module)| !module.is_test) {
            for item in &self.items[at] {
                let Item::Impl(item) = item else { continue };
                if item.trait_.is_some() || is_for_tests(&item.attrs) {
                    continue;
                }
                let Some(of) = self.type_of(at, &item.self_ty) else { continue };
                let (What::Module(home) | What::Item { module: home, .. }) = &of;
                for inner in item.items.iter().filter(|_| self.modules[*home].file != module.file) {
                    if let syn::ImplItem::Fn(inner) = inner {
                        let name = inner.sig.ident.unraw().to_string();
                        apart.insert((of.clone(), name), module.file.clone());
                    }
                }
            }
        }
        self.apart = apart;
    }

    /// The type of ours that stands there, behind references.
    fn type_of(&self, at: usize, stated: &syn::Type) -> Option<What> {
        match stated {
            syn::Type::Reference(to) => self.type_of(at, &to.elem),
            syn::Type::Path(path) => {
                let found = find(&self.modules, at, &segments(&path.path), &mut BTreeSet::new());
                found.into_iter().map(|found| found.what).find(|what| matches!(what, What::Item { .. }))
            }
            _ => None,
        }
    }

    fn is_within(&self, mut at: usize, of: usize) -> bool {
        loop {
            if at == of {
                return true;
            }
            let Some(parent) = self.modules[at].parent else { return false };
            at = parent;
        }
    }
}

/// Names on the way, each with whether more of the path follows: `plan::plan` is not a loop.
type Seen = BTreeSet<(usize, String, bool)>;

/// What a name means inside of a module.
fn look_up(modules: &[Module], at: usize, (name, goes_on): (&str, bool), seen: &mut Seen) -> Vec<Found> {
    if !seen.insert((at, name.to_owned(), goes_on)) {
        return Vec::new();
    }
    let module = &modules[at];
    let mut found = Vec::new();
    for bound in module.names.get(name).into_iter().flatten() {
        match bound {
            Bound::Module(child) => found.push(Found { what: What::Module(*child), asked: at }),
            Bound::Here => {
                found.push(Found { what: What::Item { module: at, name: name.to_owned() }, asked: at });
            }
            Bound::Import(path) => found.extend(find(modules, at, path, seen)),
        }
    }
    if found.is_empty() && !module.names.contains_key(name) {
        for glob in &module.globs {
            for of in find(modules, at, glob, &mut seen.clone()) {
                if let What::Module(of) = of.what {
                    let through = look_up(modules, of, (name, goes_on), seen);
                    found.extend(through.into_iter().map(|found| Found { asked: of, ..found }));
                }
            }
        }
    }
    found
}

/// What a path means inside of a module.
fn find(modules: &[Module], at: usize, path: &[String], seen: &mut Seen) -> Vec<Found> {
    let Some((first, rest)) = path.split_first() else { return Vec::new() };
    let module = |at: usize| Found { what: What::Module(at), asked: at };
    let mut found = match first.as_str() {
        "crate" => vec![module(modules[at].root)],
        "self" => vec![module(at)],
        "super" => modules[at].parent.into_iter().map(module).collect(),
        LIBRARY if modules[at].root != 0 => vec![module(0)],
        name => look_up(modules, at, (name, !rest.is_empty()), seen),
    };
    for (n, name) in rest.iter().enumerate() {
        let mut next = Vec::new();
        for of in found {
            let What::Module(of_module) = of.what else {
                next.push(of);
                continue;
            };
            if name == "super" {
                next.extend(modules[of_module].parent.into_iter().map(module));
                continue;
            }
            let inner = look_up(modules, of_module, (name, n + 1 < rest.len()), &mut seen.clone());
            if inner.is_empty() {
                // A macro made it, or another crate of the same name has it.
                let what = What::Item { module: of_module, name: name.clone() };
                next.push(Found { what, asked: of_module });
            }
            next.extend(inner.into_iter().map(|found| Found { asked: of_module, ..found }));
        }
        found = next;
    }
    found
}

/// Reads the paths of one module.
struct Reader<'a> {
    tree: &'a Tree<'a>,
    at: usize,
    /// Names that patterns bind in the function that is read.
    locals: BTreeSet<String>,
    /// Types of ours of `self` and of arguments.
    types: BTreeMap<String, What>,
    graph: &'a mut Graph,
}

impl Reader<'_> {
    fn take(&mut self, path: &[String]) {
        let Some(first) = path.first() else { return };
        if path.len() == 1 && self.locals.contains(first) {
            return;
        }
        let found = find(&self.tree.modules, self.at, path, &mut BTreeSet::new());
        let file = &self.tree.modules[self.at].file;
        if found.is_empty() && path.len() > 1 {
            self.graph.crates.entry(file.clone()).or_default().insert(first.clone());
        }
        for found in found.iter().filter(|found| path.len() > 1 || !matches!(found.what, What::Module(_))) {
            self.tie(found);
        }
        if let [of @ .., name] = path {
            match (of, &*found) {
                ([of], []) if of == "Self" => self.method("self", name),
                ([_, ..], [Found { what: what @ What::Item { .. }, .. }]) => self.tie_apart(what, name),
                _ => {}
            }
        }
    }

    fn tie(&mut self, found: &Found) {
        let modules = &self.tree.modules;
        let from = &modules[self.at].file;
        let (to, name, is_module) = match &found.what {
            What::Module(at) => {
                let path = &modules[*at].path;
                (&modules[*at].file, path.rsplit("::").next().unwrap_or_default().to_owned(), true)
            }
            What::Item { module, name } => (&modules[*module].file, name.clone(), false),
        };
        let asked = match &found.what {
            What::Module(at) => *at,
            What::Item { .. } => found.asked,
        };
        if from != to {
            let asked = modules[asked].path.clone();
            self.graph.uses.insert(Use { from: from.clone(), to: to.clone(), name, asked, is_module });
        }
    }

    /// Ties the file of a method, if it stands apart from its type.
    fn tie_apart(&mut self, of: &What, name: &str) {
        let Some(file) = self.tree.apart.get(&(of.clone(), name.to_owned())) else { return };
        let from = &self.tree.modules[self.at].file;
        if from != file {
            self.graph.uses.insert(Use {
                from: from.clone(),
                to: file.clone(),
                name: name.to_owned(),
                asked: self.graph.files.get(file).cloned().unwrap_or_default(),
                is_module: false,
            });
        }
    }

    fn method(&mut self, receiver: &str, name: &str) {
        if let Some(of) = self.types.get(receiver).cloned() {
            self.tie_apart(&of, name);
        }
    }

    /// The paths in the arguments of a macro or an attribute, which are no syntax yet.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut receiver = String::new();
        let (mut colons, mut dots) = (0, 0);
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Ident(ident) => {
                    let ident = ident.unraw().to_string();
                    if colons != 2 {
                        let before = std::mem::take(&mut path);
                        self.take(&before);
                        receiver = before.concat();
                    }
                    let is_called = matches!(tokens.peek(), Some(TokenTree::Group(group))
                        if group.delimiter() == Delimiter::Parenthesis);
                    match (dots, is_called) {
                        (1, true) => self.method(&receiver, &ident),
                        (1, false) => {}
                        _ => path.push(ident),
                    }
                    (colons, dots) = (0, 0);
                }
                TokenTree::Punct(punct) => match punct.as_char() {
                    ':' => (colons, dots) = (colons + 1, 0),
                    '.' => (colons, dots) = (0, dots + 1),
                    _ => (colons, dots) = (0, 0),
                },
                TokenTree::Group(group) => {
                    self.take(&std::mem::take(&mut path));
                    self.tokens(group.stream());
                    (colons, dots) = (0, 0);
                }
                TokenTree::Literal(_) => (colons, dots) = (0, 0),
            }
        }
        self.take(&path);
    }

    /// Paths that attributes hold as text: `#[serde(with = "path::to")]`.
    fn quoted(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Literal(literal) => {
                    let text = syn::parse_str::<syn::LitStr>(&literal.to_string());
                    let path = text.and_then(|text| syn::parse_str::<syn::Path>(&text.value()));
                    if let Ok(path) = path {
                        self.take(&segments(&path));
                    }
                }
                TokenTree::Group(group) => self.quoted(group.stream()),
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }

    fn function(&mut self, sig: &syn::Signature, read: impl FnOnce(&mut Self), body: Option<&syn::Block>) {
        let mut bound = Bindings(BTreeSet::new());
        bound.visit_signature(sig);
        if let Some(body) = body {
            bound.visit_block(body);
        }
        let mut all = bound.0;
        all.extend(self.locals.iter().cloned());
        let mut types = self.types.clone();
        for argument in &sig.inputs {
            if let syn::FnArg::Typed(argument) = argument
                && let syn::Pat::Ident(name) = &*argument.pat
            {
                let name = name.ident.unraw().to_string();
                match self.tree.type_of(self.at, &argument.ty) {
                    Some(of) => types.insert(name, of),
                    None => types.remove(&name),
                };
            }
        }
        let (outer, typed) =
            (std::mem::replace(&mut self.locals, all), std::mem::replace(&mut self.types, types));
        read(self);
        (self.locals, self.types) = (outer, typed);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        // A module is read by itself.
        if !matches!(item, Item::Mod(_)) && !is_for_tests(attributes(item)) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_shown = !matches!(item.vis, Visibility::Inherited);
        for leaf in leaves(&item.tree) {
            let found = find(&self.tree.modules, self.at, &leaf.path, &mut BTreeSet::new());
            if found.is_empty() {
                let file = self.tree.modules[self.at].file.clone();
                self.graph.crates.entry(file).or_default().insert(leaf.path[0].clone());
            }
            for found in found {
                let (What::Module(to) | What::Item { module: to, .. }) = found.what;
                // A parent that shows what its children hold does not use it.
                if !(is_shown && self.tree.is_within(to, self.at)) {
                    self.tie(&found);
                }
            }
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, |reader| syn::visit::visit_item_fn(reader, item), Some(&item.block));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let of = self.tree.type_of(self.at, &item.self_ty);
        let outer =
            std::mem::replace(&mut self.types, of.map(|of| ("self".into(), of)).into_iter().collect());
        syn::visit::visit_item_impl(self, item);
        self.types = outer;
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes: &[syn::Attribute] = match item {
            syn::ImplItem::Const(item) => &item.attrs,
            syn::ImplItem::Fn(item) => &item.attrs,
            syn::ImplItem::Type(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            syn::visit::visit_impl_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, |reader| syn::visit::visit_impl_item_fn(reader, item), Some(&item.block));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        let body = item.default.as_ref();
        self.function(&item.sig, |reader| syn::visit::visit_trait_item_fn(reader, item), body);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.take(&segments(path));
        syn::visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if let syn::Expr::Path(receiver) = &*call.receiver {
            self.method(&segments(&receiver.path).join("::"), &call.method.unraw().to_string());
        }
        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        match &attribute.meta {
            syn::Meta::Path(path) => self.visit_path(path),
            syn::Meta::List(list) => {
                self.visit_path(&list.path);
                self.tokens(list.tokens.clone());
                self.quoted(list.tokens.clone());
            }
            syn::Meta::NameValue(_) => {}
        }
    }
}

/// Collects the names that patterns bind.
struct Bindings(BTreeSet<String>);

impl<'ast> Visit<'ast> for Bindings {
    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        let name = pattern.ident.unraw().to_string();
        // A constant or a variant in a pattern is a use.
        if name.starts_with(|c: char| c.is_lowercase() || c == '_') {
            self.0.insert(name);
        }
        syn::visit::visit_pat_ident(self, pattern);
    }
}

/// Collects `use` wherever it stands in an item.
struct Imports(Vec<UseTree>);

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.0.push(item.tree.clone());
    }

    fn visit_item_mod(&mut self, _: &'ast syn::ItemMod) {}
}

fn leaves(tree: &UseTree) -> Vec<Leaf> {
    fn walk(tree: &UseTree, before: &[String], out: &mut Vec<Leaf>) {
        let with = |name: &syn::Ident| {
            let name = name.unraw().to_string();
            let mut path = before.to_vec();
            // `a::{self}` is `a`.
            if name != "self" || path.is_empty() {
                path.push(name);
            }
            path
        };
        match tree {
            UseTree::Path(part) => walk(&part.tree, &with(&part.ident), out),
            UseTree::Name(part) => {
                let path = with(&part.ident);
                out.push(Leaf { name: path.last().cloned(), path, is_glob: false });
            }
            UseTree::Rename(part) => {
                let name = Some(part.rename.unraw().to_string()).filter(|name| name != "_");
                out.push(Leaf { path: with(&part.ident), name, is_glob: false });
            }
            UseTree::Glob(_) => out.push(Leaf { path: before.to_vec(), name: None, is_glob: true }),
            UseTree::Group(group) => group.items.iter().for_each(|part| walk(part, before, out)),
        }
    }
    let mut out = Vec::new();
    walk(tree, &[], &mut out);
    out.retain(|leaf| !leaf.path.is_empty());
    out
}

fn segments(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect()
}

fn text_of(value: &syn::Expr) -> Option<String> {
    match value {
        syn::Expr::Lit(literal) => match &literal.lit {
            syn::Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

fn attributes(item: &Item) -> &[syn::Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// `#[cfg(test)]`, and no other condition.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => {
            list.path.is_ident("cfg") && list.parse_args::<syn::Path>().is_ok_and(|of| of.is_ident("test"))
        }
        _ => false,
    })
}

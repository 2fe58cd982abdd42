//! JSON as it comes in → the members that are wanted, within a limit. What is not wanted is never in memory.
//!
//! It understands as much of JSON as it takes to see where a value ends. What it gives out is parsed by others, who notice
//! what is not valid.

/// Longest value that tells which object it is. Kubernetes allows names of 253 characters.
const LONGEST_NAME: usize = 1_024;
/// Longest list that is kept beyond the limit. One with an entry of ours may have many of others.
const LONGEST_LIST: usize = 16 * 1_024;
/// A longer key is no key of ours.
const LONGEST_KEY: usize = 512;

/// What is kept of a value. One of another shape than its rule is for is kept whole.
#[derive(Clone, Copy)]
pub enum Rule {
    Nothing,
    Whole,
    /// Whatever the limit: what tells which object it is.
    Name,
    /// Whatever the limit, as a whole or not at all: without it an object could not be let go.
    Held,
    /// Of an object what the rules of its members keep.
    Members(fn(&str) -> Rule),
    /// The same, or nothing of it where none of it is a [`Rule::Mark`].
    Marked(fn(&str) -> Rule),
    /// All of it, and what is around it is kept.
    Mark,
    /// Of an object the one member that the sieve was told the name of.
    Told,
    /// Of a list what this rule keeps of each entry.
    Each(&'static Rule),
    /// The same, each entry for itself and with a limit of its own.
    Apart(&'static Rule),
}

/// What was kept of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    pub json: Vec<u8>,
    /// It was more than the limit: only what tells which object it is has been kept for sure.
    pub is_over: bool,
}

/// A value that is walked into.
struct Level {
    rule: Rule,
    /// Something of it was kept, so what follows needs a comma.
    is_begun: bool,
    /// Something of it is a mark.
    is_marked: bool,
    /// Where what was kept ended before it, and whether that needs a comma.
    mark: usize,
    was_begun: bool,
}

#[derive(Clone, Copy)]
enum State {
    /// A value comes.
    Value(Rule),
    /// A key comes, or the end of the object.
    Key,
    InKey {
        is_escaped: bool,
    },
    Colon,
    /// An entry comes, or the end of the list.
    Entry,
    /// In a value that is kept or skipped as it is.
    In(Run),
    Done,
    /// It is no JSON.
    Broken,
}

#[derive(Clone, Copy)]
struct Run {
    rule: Rule,
    depth: u32,
    is_string: bool,
    is_escaped: bool,
    /// Where what was kept ended before it, and whether that needs a comma.
    mark: usize,
    was_begun: bool,
}

/// Takes bytes as they come, and keeps what its rule says.
pub struct Sieve {
    rule: Rule,
    told: Box<str>,
    limit: usize,
    levels: Vec<Level>,
    state: State,
    key: Vec<u8>,
    kept: Kept,
    /// What is kept of the list around an entry apart.
    around: Kept,
    apart: Vec<Kept>,
}

impl Sieve {
    /// Keeps at most this many bytes of a value, and names beyond that.
    pub fn new(rule: Rule, limit: usize) -> Self {
        Self {
            rule,
            told: Box::default(),
            limit,
            levels: Vec::new(),
            state: State::Value(rule),
            key: Vec::new(),
            kept: Kept::default(),
            around: Kept::default(),
            apart: Vec::new(),
        }
    }

    /// With the name of the member that [`Rule::Told`] keeps.
    #[must_use]
    pub fn told(self, name: &str) -> Self {
        Self { told: name.into(), ..self }
    }

    /// Takes bytes up to the end of a value. Gives back how many it took.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            match self.state {
                State::Done => return at,
                State::Broken => return bytes.len(),
                State::Value(_) | State::Key | State::Colon | State::Entry if byte.is_ascii_whitespace() => {
                    at += 1;
                }
                State::Value(rule) => at += self.begin(rule, byte),
                State::Key => {
                    at += 1;
                    match byte {
                        b',' => {}
                        b'"' => {
                            self.key.clear();
                            self.state = State::InKey { is_escaped: false };
                        }
                        b'}' => self.close(b'}'),
                        _ => self.state = State::Broken,
                    }
                }
                State::InKey { is_escaped } => {
                    at += 1;
                    if byte == b'"' && !is_escaped {
                        self.state = State::Colon;
                        continue;
                    }
                    if self.key.len() <= LONGEST_KEY {
                        self.key.push(byte);
                    }
                    self.state = State::InKey { is_escaped: byte == b'\\' && !is_escaped };
                }
                State::Colon => {
                    at += 1;
                    self.state = if byte == b':' { State::Value(self.of_member()) } else { State::Broken };
                }
                State::Entry => match byte {
                    b',' => at += 1,
                    b']' => {
                        at += 1;
                        self.close(b']');
                    }
                    _ => at += self.entry(byte),
                },
                State::In(run) => {
                    let (taken, run, is_ended) = go_on(run, &bytes[at..]);
                    self.state = State::In(run);
                    self.keep(&bytes[at..at + taken]);
                    at += taken;
                    if is_ended {
                        self.ended();
                    }
                }
            }
        }
        at
    }

    /// Whether a value has come to its end.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// What was kept of the value, and begins with the next one.
    pub fn take(&mut self) -> Kept {
        self.levels.clear();
        self.state = State::Value(self.rule);
        std::mem::take(&mut self.kept)
    }

    /// Entries that were kept for themselves, so far.
    pub fn apart(&self) -> &[Kept] {
        &self.apart
    }

    pub fn take_apart(&mut self) -> Vec<Kept> {
        std::mem::take(&mut self.apart)
    }

    /// The rule for the member with the key that was read.
    fn of_member(&self) -> Rule {
        let key = std::str::from_utf8(&self.key).unwrap_or_default();
        match self.levels.last().map(|level| level.rule) {
            _ if self.key.len() > LONGEST_KEY => Rule::Nothing,
            Some(Rule::Members(of) | Rule::Marked(of)) => of(key),
            Some(Rule::Told) if *key == *self.told => Rule::Whole,
            _ => Rule::Nothing,
        }
    }

    /// Begins an entry of a list with its first byte.
    fn entry(&mut self, byte: u8) -> usize {
        match self.levels.last().map(|level| level.rule) {
            Some(Rule::Apart(rule)) => {
                self.around = std::mem::take(&mut self.kept);
                self.begin(*rule, byte)
            }
            Some(Rule::Each(rule)) => {
                self.kept.is_over |= self.kept.json.len() > self.limit;
                self.begin(if self.kept.is_over { Rule::Nothing } else { *rule }, byte)
            }
            _ => self.begin(Rule::Nothing, byte),
        }
    }

    /// Begins a value with its first byte, which is taken where the value is walked into.
    fn begin(&mut self, rule: Rule, byte: u8) -> usize {
        if matches!(byte, b',' | b':' | b'}' | b']') {
            self.state = State::Broken;
            return 0;
        }
        let rule = match rule {
            Rule::Whole | Rule::Mark | Rule::Each(_) if self.kept.is_over => Rule::Nothing,
            rule => rule,
        };
        let (mark, was_begun) =
            (self.kept.json.len(), self.levels.last().is_some_and(|level| level.is_begun));
        if !matches!(rule, Rule::Nothing) {
            self.lead();
        }
        if matches!(rule, Rule::Mark) {
            self.levels.iter_mut().for_each(|level| level.is_marked = true);
        }
        let is_walked = match rule {
            Rule::Members(_) | Rule::Marked(_) | Rule::Told => byte == b'{',
            Rule::Each(_) | Rule::Apart(_) => byte == b'[',
            Rule::Nothing | Rule::Whole | Rule::Mark | Rule::Name | Rule::Held => false,
        };
        if !is_walked {
            self.state =
                State::In(Run { rule, depth: 0, is_string: false, is_escaped: false, mark, was_begun });
            return 0;
        }
        self.kept.json.push(byte);
        self.levels.push(Level { rule, is_begun: false, is_marked: false, mark, was_begun });
        self.state = if byte == b'{' { State::Key } else { State::Entry };
        1
    }

    /// What stands before a value.
    fn lead(&mut self) {
        let Some(level) = self.levels.last_mut() else { return };
        if matches!(level.rule, Rule::Apart(_)) {
            return;
        }
        if std::mem::replace(&mut level.is_begun, true) {
            self.kept.json.push(b',');
        }
        if matches!(level.rule, Rule::Members(_) | Rule::Marked(_) | Rule::Told) {
            self.kept.json.push(b'"');
            self.kept.json.extend_from_slice(&self.key);
            self.kept.json.extend_from_slice(b"\":");
        }
    }

    /// More of a value that is kept as it is, or of one that is not.
    fn keep(&mut self, more: &[u8]) {
        let State::In(run) = &mut self.state else { return };
        let most = match run.rule {
            Rule::Nothing => return,
            // Behind its key.
            Rule::Name => run.mark + LONGEST_KEY + LONGEST_NAME,
            Rule::Held => self.limit.max(run.mark + LONGEST_KEY + LONGEST_LIST),
            _ => self.limit,
        };
        if self.kept.json.len() + more.len() <= most {
            self.kept.json.extend_from_slice(more);
            return;
        }
        self.kept.is_over = true;
        run.rule = Rule::Nothing;
        let (mark, was_begun) = (run.mark, run.was_begun);
        self.drop_from(mark, was_begun);
    }

    /// Drops what was kept from there on.
    fn drop_from(&mut self, mark: usize, was_begun: bool) {
        self.kept.json.truncate(mark);
        if let Some(level) = self.levels.last_mut() {
            level.is_begun = was_begun;
        }
    }

    fn close(&mut self, with: u8) {
        self.kept.json.push(with);
        let closed = self.levels.pop();
        if let Some(Level { rule: Rule::Marked(_), is_marked: false, mark, was_begun, .. }) = closed {
            self.drop_from(mark, was_begun);
        }
        self.ended();
    }

    /// A value has come to its end.
    fn ended(&mut self) {
        self.state = match self.levels.last().map(|level| level.rule) {
            None => State::Done,
            Some(Rule::Members(_) | Rule::Marked(_) | Rule::Told) => State::Key,
            Some(Rule::Apart(_)) => {
                let entry = std::mem::replace(&mut self.kept, std::mem::take(&mut self.around));
                self.apart.push(entry);
                State::Entry
            }
            Some(_) => State::Entry,
        };
    }
}

/// Goes on in a value: how much of these bytes is of it, and whether it ends there.
fn go_on(mut run: Run, bytes: &[u8]) -> (usize, Run, bool) {
    for (at, byte) in bytes.iter().enumerate() {
        if run.is_string {
            match byte {
                _ if run.is_escaped => run.is_escaped = false,
                b'\\' => run.is_escaped = true,
                b'"' => {
                    run.is_string = false;
                    if run.depth == 0 {
                        return (at + 1, run, true);
                    }
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => run.is_string = true,
            b'{' | b'[' => run.depth += 1,
            b'}' | b']' if run.depth > 1 => run.depth -= 1,
            b'}' | b']' if run.depth == 1 => return (at + 1, run, true),
            // The end of what is around a number or a word.
            b'}' | b']' | b',' | b' ' | b'\n' | b'\r' | b'\t' if run.depth == 0 => return (at, run, true),
            _ => {}
        }
    }
    (bytes.len(), run, false)
}

#[cfg(test)]
mod tests;

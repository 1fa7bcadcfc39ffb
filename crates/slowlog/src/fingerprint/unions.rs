//! Repeated UNIONs: `select ? union select ?` becomes `select ? /*repeat union*/`.
//!
//! pt-query-digest does it by a back reference, tried from each SELECT up to each UNION: quadratic, and worse. Here pairs
//! are tried the same way, up to a number of steps that is linear in the length of the text; a text which takes more (some
//! thousand SELECTs that begin alike and are not) keeps the UNIONs that were not reached.

use super::{is_blank, is_word};
use memchr::memmem;

const SELECT: &[u8] = b"select";
const UNION: &[u8] = b"union";

/// A UNION with a SELECT after it.
struct Union {
    /// Where the blank before it stands.
    start: usize,
    /// Where `union` or `union all` ends.
    end: usize,
}

impl Union {
    /// Where the SELECT begins.
    fn select(&self) -> usize {
        self.end + 1
    }
}

/// Answers with how many steps it took.
pub(super) fn collapse(text: &[u8], out: &mut Vec<u8>) -> u64 {
    out.clear();
    let unions: Vec<_> =
        memmem::find_iter(text, UNION).filter_map(|at| union_at(text, at.checked_sub(1)?)).collect();
    let most = 64 * text.len() as u64 + 4096;
    let mut steps = text.len() as u64;
    let mut kept = 0;
    let mut first = 0;
    for select in memmem::find_iter(text, SELECT) {
        let alone = select == 0 || !is_word(text[select - 1]);
        if select < kept || !alone || !text.get(select + SELECT.len()).is_some_and(|byte| is_blank(*byte)) {
            continue;
        }
        while unions.get(first).is_some_and(|union| union.start < select) {
            first += 1;
        }
        let found = unions[first..].iter().find(|union| {
            if steps >= most {
                return false;
            }
            let alike = common(&text[select..union.start], &text[union.select()..]);
            steps += 1 + alike as u64;
            union.start > select + SELECT.len() && alike == union.start - select
        });
        if steps >= most {
            break;
        }
        if let Some(found) = found {
            out.extend_from_slice(&text[kept..found.start]);
            let (end, last) = repeats(text, &text[select..found.start], found);
            out.extend_from_slice(b" /*repeat");
            out.extend_from_slice(last);
            out.extend_from_slice(b"*/");
            kept = end;
        }
    }
    out.extend_from_slice(&text[kept..]);
    steps + text.len() as u64
}

/// Where the repetitions of this SELECT end, the first of which is known, and how the last was joined.
fn repeats<'text>(text: &'text [u8], select: &[u8], first: &Union) -> (usize, &'text [u8]) {
    let mut joint = &text[first.start..first.end];
    let mut end = first.select() + select.len();
    while let Some(next) = union_at(text, end)
        && text[next.select()..].starts_with(select)
    {
        joint = &text[next.start..next.end];
        end = next.select() + select.len();
    }
    (end, joint)
}

/// The UNION before which this blank stands.
fn union_at(text: &[u8], blank: usize) -> Option<Union> {
    let blank_at = |at: usize| text.get(at).is_some_and(|byte| is_blank(*byte));
    let begins = |at: usize, word: &[u8]| text.get(at..).is_some_and(|rest| rest.starts_with(word));
    if !blank_at(blank) || !begins(blank + 1, UNION) {
        return None;
    }
    let end = blank + 1 + UNION.len();
    if !blank_at(end) {
        return None;
    }
    let end = if begins(end + 1, b"all") && blank_at(end + 4) { end + 4 } else { end };
    begins(end + 1, SELECT).then_some(Union { start: blank, end })
}

/// How many bytes two texts begin with alike.
fn common(first: &[u8], second: &[u8]) -> usize {
    first.iter().zip(second).take_while(|(first, second)| first == second).count()
}

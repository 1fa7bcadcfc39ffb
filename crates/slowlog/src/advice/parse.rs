//! A statement, parsed within bounds.
//!
//! The parser bounds how deep it calls itself, but builds `a + a + a …` in a loop, as a tree as deep as the chain is
//! long, and that is dropped by recursion. So the tokens are counted before.

use super::LONGEST_STATEMENT;
use sqlparser::ast::Statement;
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

/// How deep the parser may call itself.
const DEEPEST: usize = 32;
/// How many tokens there may be that can make a tree deeper: all but literals, commas and parentheses.
const MOST_TOKENS: usize = 2000;

/// The statement, if it is one, whole, and within bounds.
pub(super) fn parse(statement: &[u8]) -> Option<Statement> {
    if statement.len() > LONGEST_STATEMENT {
        return None;
    }
    let text = std::str::from_utf8(statement).ok()?;
    let dialect = MySqlDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().ok()?;
    if tokens.iter().filter(|token| deepens(&token.token)).count() > MOST_TOKENS {
        return None;
    }
    let mut parser = Parser::new(&dialect).with_recursion_limit(DEEPEST).with_tokens_with_locations(tokens);
    let mut statements = parser.parse_statements().ok()?;
    if statements.len() == 1 { statements.pop() } else { None }
}

fn deepens(token: &Token) -> bool {
    !matches!(
        token,
        Token::Whitespace(_)
            | Token::Comma
            | Token::LParen
            | Token::RParen
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
    )
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_is_no_single_statement_is_refused() {
        for statement in [
            "",
            "SELECT",
            "SELECT 'open",
            "SELECT 1; SELECT 2",
            "not sql at all",
            "administrator command: Ping",
        ] {
            assert!(parse(statement.as_bytes()).is_none(), "{statement}");
        }
        assert!(parse(b"SELECT '\xff'").is_none());
        assert!(parse(b"/* app:shop */ SELECT SQL_NO_CACHE `a` FROM t WHERE b = \"x\";").is_some());
    }

    #[test]
    fn depth_and_time_are_bounded() {
        let parts = [
            "(",
            "1+",
            "a OR ",
            "NOT ",
            "- ",
            "f(",
            "CASE ",
            "CASE WHEN ",
            "CAST(",
            "INTERVAL ",
            "IF(",
            "((SELECT ",
            "(SELECT * FROM ",
            "a.",
            "a IN (",
            "EXISTS (SELECT ",
            "IF(CASE ",
            "CAST(CASE (",
            "a BETWEEN ",
            "a LIKE ",
            "/*",
            "`",
            "'a' ",
            "@",
            "{",
        ];
        for part in parts {
            for prefix in
                ["SELECT ", "SELECT * FROM ", "SELECT * FROM t WHERE ", "INSERT INTO t VALUES (", ""]
            {
                for most in [31_usize, 1900, 60_000] {
                    let times = (most / part.len()).max(1);
                    for end in ["", "1"] {
                        // What it says does not matter: it comes back.
                        drop(parse(format!("{prefix}{}{end}", part.repeat(times)).as_bytes()));
                    }
                }
            }
        }
        assert!(
            parse(format!("SELECT 1{}", "+1".repeat(1900)).as_bytes()).is_some(),
            "as deep as it gets, and dropped"
        );
        assert!(parse(format!("SELECT 1{}", "+1".repeat(2001)).as_bytes()).is_none());
        let list = "123,".repeat(15_000);
        assert!(parse(format!("SELECT * FROM t WHERE id IN ({list}1)").as_bytes()).is_some());
        assert!(parse(format!("SELECT * FROM t WHERE id IN ({list}{list}1)").as_bytes()).is_none());
    }
}

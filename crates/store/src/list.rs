//! Lists: filters, paging, and the scope, added to a select.

use crate::cursor::{Cursor, NoCursor};
use crate::sql::{Connection, Reach, rows};
use crate::{Scope, StoreResult};
use honcho_model::Right;
use sea_orm::{FromQueryResult, Value};

/// Why a query string makes no list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// No such attribute, or not one to filter by.
    #[error("{0} is not a filter here; filters are: {1}")]
    UnknownFilter(String, String),
    /// `limit`, `offset`, `after` or an integer attribute is no number of that kind.
    #[error("{0} must be a whole number")]
    NotANumber(String),
    /// What is no address of a machine where one is asked for.
    #[error("{0} must be an IP address")]
    NotAnAddress(String),
    /// `order` is neither word.
    #[error("order must be ascending or descending")]
    NotAnOrder,
    /// `cancelled` is neither word.
    #[error("cancelled must be true or false")]
    NeitherTrueNorFalse,
    /// More values than a statement can bind.
    #[error("has more than {MOST_VALUES} values to filter by: ask several times")]
    TooManyValues,
}

/// A page of so many rows is read sooner than another thread could be woken to do it.
const SHORT_PAGE: i64 = 128;

/// So many values may be filtered by; SQLite binds some 30,000.
const MOST_VALUES: usize = 1000;

/// What a list is asked for: `?limit=&offset=`, `?after=ID`, `?order=descending`, and attributes with the values they must have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// At most so many.
    pub limit: Option<i64>,
    /// Leave out so many first.
    pub offset: Option<i64>,
    /// Only ids above this one.
    pub after: Option<i64>,
    /// Only events after this place in the log; no other list has cursors.
    pub cursor: Option<Cursor>,
    /// The newest first (`?order=descending`); `after` then means ids below that one.
    pub descending: bool,
    /// Also what is cancelled or deleted.
    pub with_cancelled: bool,
    /// Of what `with_cancelled` adds, not what is deleted. No query string asks for it.
    pub without_deleted: bool,
    /// Attribute and value; the same attribute twice means either.
    pub equals: Vec<(String, String)>,
    /// Attributes that must have these values besides.
    pub also: Vec<(String, String)>,
    /// Of guests, those that have a package. No query string asks for it.
    pub having: Option<Having>,
}

/// Who has a package that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Having {
    /// Guests that say so.
    pub guests: Vec<i64>,
    /// Images that were made with it: their guests that say nothing.
    pub images: Vec<i64>,
}

impl Having {
    /// The condition on a guest `g`. Ids are numbers and can be written into it.
    pub(crate) fn condition(&self) -> String {
        let ids = |ids: &[i64]| match ids {
            [] => "NULL".to_owned(),
            ids => ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", "),
        };
        format!(
            "(g.id IN ({}) OR (g.image_id IN ({}) AND NOT EXISTS (SELECT 1 FROM guest_packages w WHERE w.guest_id = g.id)))",
            ids(&self.guests),
            ids(&self.images)
        )
    }
}

impl Filters {
    /// Reads the pairs of a query string.
    pub fn parse(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, ListError> {
        let number = |key: &str, text: &str| match text.parse::<i64>() {
            Ok(n) if n >= 0 => Ok(Some(n)),
            _ => Err(ListError::NotANumber(key.to_owned())),
        };
        let mut filters = Filters::default();
        for (key, value) in pairs {
            match key.as_str() {
                "limit" => filters.limit = number(&key, &value)?,
                "offset" => filters.offset = number(&key, &value)?,
                "after" => match value.parse() {
                    Ok(cursor) => filters.cursor = Some(cursor),
                    Err(NoCursor) => filters.after = number(&key, &value)?,
                },
                "order" => {
                    filters.descending = match value.as_str() {
                        "descending" => true,
                        "ascending" => false,
                        _ => return Err(ListError::NotAnOrder),
                    };
                }
                "cancelled" => {
                    filters.with_cancelled = value.parse().map_err(|_| ListError::NeitherTrueNorFalse)?;
                }
                _ => filters.equals.push((key.trim_end_matches("[]").to_owned(), value)),
            }
        }
        Ok(filters)
    }

    /// These filters and one more, which holds whatever the caller asked for.
    #[must_use]
    pub fn and(mut self, attribute: &str, value: impl std::fmt::Display) -> Self {
        self.also.push((attribute.to_owned(), value.to_string()));
        self
    }
}

/// What kind of value a filterable column holds.
#[derive(Clone, Copy)]
pub(crate) enum Column {
    /// An integer, by which an index holds the rows in the order of their ids.
    Key(&'static str, &'static str),
    /// An integer.
    Integer(&'static str, &'static str),
    /// A text.
    Text(&'static str, &'static str),
    /// An IP address in 16 bytes.
    Address(&'static str, &'static str),
    /// A text that is worked out of joined tables.
    Derived(&'static str, &'static str),
}

impl Column {
    fn attribute(self) -> &'static str {
        match self {
            Column::Key(attribute, _)
            | Column::Integer(attribute, _)
            | Column::Text(attribute, _)
            | Column::Address(attribute, _)
            | Column::Derived(attribute, _) => attribute,
        }
    }
}

/// A select with its `FROM` and joins, to which conditions are added.
pub(crate) struct Select {
    sql: String,
    values: Vec<Value>,
    conditions: Vec<String>,
    /// The table whose rows are counted and sorted, with its alias; see [`Select::of_table`].
    table: Option<&'static str>,
    /// What rows are sorted by before their id.
    sorted_by: Option<&'static str>,
    /// Whether an index gives the rows one after the other, so that a page reads as many as it shows.
    by_key: bool,
}

impl Select {
    pub(crate) fn new(sql: impl Into<String>, values: Vec<Value>) -> Self {
        Select { sql: sql.into(), values, conditions: Vec::new(), table: None, sorted_by: None, by_key: true }
    }

    /// Says which table the rows are of (`guests g`): a page far behind is then found in that table alone, by an index,
    /// and only its own rows are joined and worked out. All conditions must be about this table, save those that come
    /// from a [`Column::Derived`].
    pub(crate) fn of_table(self, table: &'static str) -> Self {
        Select { table: Some(table), ..self }
    }

    /// Sorts the rows by this column before they are sorted by id.
    pub(crate) fn sorted_by(self, column: &'static str) -> Self {
        Select { sorted_by: Some(column), ..self }
    }

    /// Adds the condition that two columns, compared as a pair, are beyond these values.
    pub(crate) fn beyond(&mut self, columns: [&str; 2], values: (i64, i64), descending: bool) {
        self.values.extend([Value::from(values.0), Value::from(values.1)]);
        let (n, sign) = (self.values.len(), if descending { '<' } else { '>' });
        self.conditions.push(format!("({}) {sign} (${}, ${n})", columns.join(", "), n - 1));
    }

    /// Adds a condition that holds no values.
    pub(crate) fn only(&mut self, condition: &str) {
        self.conditions.push(condition.to_owned());
    }

    /// Adds a condition in which `?` stands for `value`.
    pub(crate) fn only_with(&mut self, condition: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        self.conditions.push(condition.replace('?', &format!("${}", self.values.len())));
    }

    /// Limits it to what the scope owns; with `shared`, also to what belongs to nobody. One machine owns none of it.
    pub(crate) fn scope(&mut self, scope: Scope, column: &str, shared: Shared) {
        let owned = match scope {
            Scope::System | Scope::Operator => return,
            Scope::Machine(..) | Scope::Nothing => return self.only("FALSE"),
            Scope::Account(account) => (format!("{column} = ?"), account.0),
            Scope::Person(person, right) => {
                self.by_key = false;
                let least = if right == Right::Viewer { "" } else { " AND scope = 'admin'" };
                (format!("{column} IN (SELECT account_id FROM grants WHERE person_id = ?{least})"), person.0)
            }
        };
        match shared {
            Shared::Yes => self.only_with(&format!("({} OR {column} IS NULL)", owned.0), owned.1),
            Shared::No => self.only_with(&owned.0, owned.1),
        }
    }

    /// The same for what a machine may see of itself: `machine` is the condition, in which `?` stands for its id.
    pub(crate) fn scope_of_machine(&mut self, scope: Scope, column: &str, machine: &str) {
        match scope {
            Scope::Machine(_, guest) => self.only_with(machine, guest.0),
            _ => self.scope(scope, column, Shared::No),
        }
    }

    /// Adds the caller's filters; `id` is the column that ids and `after` mean.
    pub(crate) fn filter(
        &mut self,
        filters: &Filters,
        id: &str,
        columns: &[Column],
    ) -> Result<(), ListError> {
        if filters.equals.len() > MOST_VALUES {
            return Err(ListError::TooManyValues);
        }
        let known = |attribute: &String| {
            columns.iter().find(|column| column.attribute() == attribute).copied().ok_or_else(|| {
                let known: Vec<_> = columns.iter().map(|column| column.attribute()).collect();
                ListError::UnknownFilter(attribute.clone(), known.join(", "))
            })
        };
        let mut grouped: Vec<(Column, Vec<&str>)> = Vec::new();
        for (attribute, value) in &filters.equals {
            let column = known(attribute)?;
            match grouped.iter_mut().find(|(known, _)| known.attribute() == attribute) {
                Some((_, values)) => values.push(value),
                None => grouped.push((column, vec![value])),
            }
        }
        for (attribute, value) in &filters.also {
            grouped.push((known(attribute)?, vec![value]));
        }
        for (column, texts) in grouped {
            let (Column::Key(attribute, expression)
            | Column::Integer(attribute, expression)
            | Column::Text(attribute, expression)
            | Column::Address(attribute, expression)
            | Column::Derived(attribute, expression)) = column;
            if matches!(column, Column::Derived(..)) {
                self.table = None;
            }
            // Of several values, all rows are sorted before the first is given.
            self.by_key &= matches!(column, Column::Key(..)) && texts.len() == 1;
            let mut alternatives = Vec::new();
            for text in texts {
                let value = match column {
                    Column::Text(..) | Column::Derived(..) => Value::from(text),
                    Column::Address(..) => {
                        let address = text.parse::<std::net::IpAddr>();
                        let address = address.map_err(|_| ListError::NotAnAddress(attribute.to_owned()))?;
                        Value::from(crate::addresses::to_bytes(address))
                    }
                    Column::Key(..) | Column::Integer(..) => Value::from(
                        text.parse::<i64>().map_err(|_| ListError::NotANumber(attribute.to_owned()))?,
                    ),
                };
                self.values.push(value);
                alternatives.push(format!("${}", self.values.len()));
            }
            self.conditions.push(format!("{expression} IN ({})", alternatives.join(", ")));
        }
        if filters.cursor.is_some() {
            return Err(ListError::NotANumber("after".to_owned()));
        }
        if let Some(after) = filters.after {
            let beyond = if filters.descending { "<" } else { ">" };
            self.only_with(&format!("{id} {beyond} ?"), after);
        }
        Ok(())
    }

    /// Its conditions, and all values bound so far: for a statement that orders its rows in its own way.
    pub(crate) fn into_conditions(self) -> (String, Vec<Value>) {
        (self.conditions.join(" AND "), self.values)
    }

    /// Runs it, ordered by `id`, paged as the filters say.
    pub(crate) async fn all<T: FromQueryResult>(
        self,
        connection: &impl Connection,
        id: &str,
        filters: &Filters,
    ) -> StoreResult<Vec<T>> {
        let (sql, values) = self.statement(id, filters);
        rows(connection, &sql, values).await
    }

    /// The same for rows that are read by position.
    pub(crate) fn reading(self, id: &str, filters: &Filters) -> Reading {
        let short = filters.limit.is_some_and(|limit| limit <= SHORT_PAGE);
        let few = short && self.by_key && self.sorted_by.is_none() && filters.offset.unwrap_or(0) == 0;
        let reach = if few { Reach::Few } else { Reach::Many };
        let (sql, values) = self.statement(id, filters);
        Reading { reach, sql, values }
    }

    /// The rows whose key has this value; there is no more than one.
    pub(crate) fn reading_one(mut self, key: &str, value: i64) -> Reading {
        self.only_with(&format!("{key} = ?"), value);
        let (sql, values) = self.statement(key, &Filters::default());
        Reading { reach: Reach::Few, sql, values }
    }

    fn statement(mut self, id: &str, filters: &Filters) -> (String, Vec<Value>) {
        let direction = if filters.descending { " DESC" } else { "" };
        let first = self.sorted_by.map(|column| format!("{column}{direction}, ")).unwrap_or_default();
        let order = format!(" ORDER BY {first}{id}{direction}");
        let conditions = match self.conditions.as_slice() {
            [] => String::new(),
            conditions => format!(" WHERE {}", conditions.join(" AND ")),
        };
        let mut page = String::new();
        if filters.limit.is_some() || filters.offset.is_some() {
            // Not bound: PostgreSQL plans a statement that is kept ready for a tenth of all rows, unless it sees how few.
            let limit = filters.limit.unwrap_or(i64::MAX);
            self.values.push(filters.offset.unwrap_or(0).into());
            page = format!(" LIMIT {limit} OFFSET ${}", self.values.len());
        }
        let rest = match self.table {
            Some(table) if filters.offset.is_some() => {
                format!(" WHERE {id} IN (SELECT {id} FROM {table}{conditions}{order}{page}){order}")
            }
            _ => format!("{conditions}{order}{page}"),
        };
        self.sql += &rest;
        (self.sql, self.values)
    }
}

/// What is to be read.
pub(crate) struct Reading {
    pub(crate) reach: Reach,
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

/// Whether rows that belong to no account are everybody's.
#[derive(Clone, Copy)]
pub(crate) enum Shared {
    Yes,
    No,
}

impl From<ListError> for crate::StoreError {
    fn from(error: ListError) -> Self {
        let attribute = match &error {
            ListError::UnknownFilter(attribute, _)
            | ListError::NotANumber(attribute)
            | ListError::NotAnAddress(attribute) => attribute.clone(),
            ListError::NotAnOrder => "order".to_owned(),
            ListError::NeitherTrueNorFalse => "cancelled".to_owned(),
            ListError::TooManyValues => "base".to_owned(),
        };
        crate::Refusal::invalid(&attribute, error.to_string().replacen(&format!("{attribute} "), "", 1))
            .into()
    }
}

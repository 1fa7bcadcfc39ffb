//! What of slow queries an account wants to be told, and where.

use crate::sql::{Connection, execute, row, values};
use crate::{StoreResult, Tx};
use honcho_api::SlowSettings;
use honcho_model::AccountId;
use sea_orm::FromQueryResult;

/// A query that enters so many of the first is told of, unless the account says otherwise.
pub const TOP_QUERIES: i64 = 10;

#[derive(FromQueryResult)]
struct Row {
    top_queries: i64,
    mail_to: Option<String>,
    weekly_mail: bool,
}

/// What an account has set, or what is usual.
pub async fn settings(connection: &impl Connection, account: AccountId) -> StoreResult<SlowSettings> {
    let sql = "SELECT top_queries, mail_to, weekly_mail FROM slow_settings WHERE account_id = $1";
    let found: Option<Row> = row(connection, sql, values![account.0]).await?;
    let found = found.unwrap_or(Row { top_queries: TOP_QUERIES, mail_to: None, weekly_mail: false });
    Ok(SlowSettings {
        account_id: account.0,
        top_queries_count: found.top_queries,
        mail_to: found.mail_to,
        weekly_mail: found.weekly_mail,
    })
}

/// Sets them. The first weekly mail comes when a week has ended.
pub async fn set_settings(tx: &Tx, settings: &SlowSettings) -> StoreResult<()> {
    let sql = "INSERT INTO slow_settings (account_id, top_queries, mail_to, weekly_mail, weekly_mail_at) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (account_id) DO UPDATE SET top_queries = excluded.top_queries, mail_to = excluded.mail_to, \
        weekly_mail = excluded.weekly_mail, weekly_mail_at = CASE WHEN slow_settings.weekly_mail THEN slow_settings.weekly_mail_at \
        ELSE excluded.weekly_mail_at END";
    let bound = values![
        settings.account_id,
        settings.top_queries_count,
        settings.mail_to.clone(),
        settings.weekly_mail,
        tx.now.0
    ];
    execute(tx, sql, bound).await.map(drop)
}

//! Makes events of servers whose slow logs cease to come, of mails that are late, and of mails that never came; forgets what need not
//! be known.

use crate::app::App;
use honcho_model::AccountId;
use honcho_model::event::ResourceKind;
use honcho_model::host::SILENT_AFTER;
use honcho_store::events::{self, NewEvent};
use honcho_store::slow::{self, TellGaps};
use honcho_store::{Actor, Change, StoreResult, Tx};

struct NoteSilence;

impl Change for NoteSilence {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        for server in slow::take_fallen_silent(tx).await? {
            let hours = (tx.now.0 - server.last_mail_at) / 3_600_000_000;
            let text =
                format!("no slow log of it has come for {hours} h: longer than three times what is usual");
            let resource = (ResourceKind::SlowServer, server.id, server.node.as_str());
            let event = NewEvent::info("slow_server.silent", resource, text).alarm();
            events::record(tx, event.of(server.account_id.map(AccountId))).await?;
        }
        for server in slow::take_fallen_late(tx).await? {
            let hours = (tx.now.0 - server.since) / 3_600_000_000;
            let text = format!(
                "a mail of it is missing for {hours} h, and one that was cut later is here: look at the mail queues on its way"
            );
            let resource = (ResourceKind::SlowServer, server.id, server.node.as_str());
            let event = NewEvent::info("slow_server.late", resource, text).alarm();
            events::record(tx, event.of(server.account_id.map(AccountId))).await?;
        }
        slow::forget_old_mails(tx).await
    }
}

pub(crate) async fn step(app: App) -> StoreResult<()> {
    // A brain that was down has heard nothing: what waited for it comes first.
    if app.now().since(app.started_at) > SILENT_AFTER {
        app.write(Actor::honcho(), &NoteSilence).await?;
    }
    app.write(Actor::honcho(), &TellGaps).await
}

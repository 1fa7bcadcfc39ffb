//! Manifests as they come: accepted or refused, kept on disk before anything is done by them; and what is kept of one that a restored
//! brain has not accepted.

use super::Agent;
use crate::accept::{Standing, accept};
use honcho_model::{Generation, Incarnation};
use honcho_wire::Manifest;

impl Agent {
    pub(super) fn take_manifest(&mut self, raw: serde_json::Value) {
        let standing =
            Standing { brain: self.identity.brain, host: self.identity.host_id, acting_on: self.acting_on() };
        match accept(raw, &standing) {
            Ok(manifest) => {
                tracing::debug!(generation = %manifest.generation, "a manifest");
                self.refused = None;
                self.keep_manifest(manifest);
            }
            Err(refusal) => {
                tracing::error!("{refusal}");
                self.refused = Some(refusal);
            }
        }
    }

    /// Acts on a manifest from now on, if it can be kept on disk first; else it waits for the next look.
    pub(super) fn keep_manifest(&mut self, manifest: Manifest) {
        let same = self.journal.manifest.as_ref() == Some(&manifest);
        match if same {
            Ok(())
        } else {
            self.keep_former(&manifest).and_then(|()| self.memory.keep_manifest(&manifest))
        } {
            Ok(()) => {
                self.not_kept = None;
                self.journal.manifest = Some(manifest);
                self.forget_former();
                self.brain_answered();
            }
            Err(error) => {
                tracing::error!(%error, "the manifest cannot be kept on disk, so it is not acted on");
                self.disk_problem = Some(format!("the manifest cannot be kept on disk: {error}"));
                self.not_kept = Some(manifest);
            }
        }
    }

    /// Before an unaccepted manifest takes the place of one that was acted on, that one is kept: the brain is to be told it.
    fn keep_former(&mut self, next: &Manifest) -> std::io::Result<()> {
        let Some(present) = &self.journal.manifest else { return Ok(()) };
        if next.unaccepted.is_none() || present.unaccepted.is_some() {
            return Ok(());
        }
        self.memory.keep_former(present)?;
        tracing::warn!(incarnation = %next.incarnation, "the brain was restored from a backup: nothing is changed here \
            until an operator has accepted what is reported");
        self.journal.former = Some(present.clone());
        Ok(())
    }

    /// What the earlier life said means nothing once the present one is accepted.
    fn forget_former(&mut self) {
        let accepted = self.journal.manifest.as_ref().is_some_and(|manifest| manifest.unaccepted.is_none());
        if accepted && self.journal.former.take().is_some() {
            tracing::info!("an operator has accepted the restored brain; its manifest is acted on");
            if let Err(error) = self.memory.forget_former() {
                // It is of an earlier life than the manifest, and read by nobody while that is accepted.
                tracing::warn!(%error, "the manifest of the brain's earlier life cannot be removed");
            }
        }
    }

    /// Whether "nothing newer" speaks of the manifest that is acted on. It does not when that is an older one because the
    /// brain's was refused or could not be kept: the poller has named the newer one in its question all the same.
    pub(super) fn acts_on_the_brains_manifest(&self) -> bool {
        self.refused.is_none() && self.not_kept.is_none() && self.journal.manifest.is_some()
    }

    pub(super) fn brain_answered(&mut self) {
        let boot_id = self.boot_id();
        if boot_id.is_some() && self.journal.answered_in_boot != boot_id {
            self.journal.answered_in_boot = boot_id;
            self.journal_changed = true;
        }
    }

    pub(super) fn acting_on(&self) -> Option<(Incarnation, Generation)> {
        self.journal.manifest.as_ref().map(|manifest| (manifest.incarnation, manifest.generation))
    }
}

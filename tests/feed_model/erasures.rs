//! Erasing in the midst of a history: what an admin orders is gone for everybody, its owner included, and so may be what is over
//! besides. Nothing else is another than it would be.

use clearinghouse::hub::error::HubError;
use clearinghouse::hub::roster::Asked;

use super::hub_support::drafts;
use super::world::{World, wrap};

impl World<'_> {
    /// Has an indicator erased, and whatever else is over for long enough.
    pub(super) fn erase(&mut self, item: usize) -> Result<(), String> {
        let Some(at) = wrap(item, self.oracle.items.len()) else {
            return Ok(());
        };
        let id = self.oracle.items[at].id;
        let ordered = self.wait(async |hub| {
            let reason = drafts::text("by law");
            hub.hub().order_erasure(hub.admin(), id, reason).await
        });
        if !matches!(ordered, Ok(Asked::Done(_))) {
            return Err(format!("the order came to {ordered:?}"));
        }
        self.oracle.order_erasure(at);
        self.oracle.remember(&super::steps::WISHES);
        self.wait(async |hub| hub.erase().await);
        self.oracle.pass(self.now());
        self.find_erased()?;
        match self.oracle.items[at].erased {
            true => Ok(()),
            false => Err(format!("{id} is not erased")),
        }
    }

    /// Which of those that are over are erased depends on where they lie in the log: the hub is asked, as their owners.
    fn find_erased(&mut self) -> Result<(), String> {
        for at in 0..self.oracle.items.len() {
            let (owner, id, is_over) = {
                let item = &self.oracle.items[at];
                (item.owner, item.id, item.end.is_some())
            };
            let asked = self.wait(async |hub| hub.hub().indicator(&self.callers[owner], id).await.map(drop));
            let is_erased = matches!(asked, Err(HubError::Conflict { field: "id", .. }));
            if is_erased && !is_over {
                return Err(format!("{id} stands, and is erased"));
            }
            if is_erased && !std::mem::replace(&mut self.oracle.items[at].erased, true) {
                self.stage.counts.erased += 1;
            }
        }
        Ok(())
    }
}

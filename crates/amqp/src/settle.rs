//! ack, nack, reject and recover, against the ledger of what a channel has unsettled.

use amqp_codec::basic;
use protocol::{Delivery, Request, Settle, Settlement, Tag};

use crate::failure::{Failure, not_implemented, unknown_delivery_tag};
use crate::running::Running;
use crate::session::Cx;

/// Settles deliveries; what is settled alike one after the other is one request.
pub(crate) fn settle(cx: &mut Cx<'_>, mut tags: Vec<Tag>, how: Settlement) {
    if tags.is_empty() {
        return;
    }
    if let Some((None, Request::Settle(last))) = cx.out.requests.last_mut()
        && last.how == how
    {
        last.tags.append(&mut tags);
        return;
    }
    cx.out.tell(Request::Settle(Settle { tags, how }));
}

/// Gives back what came for nobody.
pub(crate) fn requeue_all(cx: &mut Cx<'_>, deliveries: &[Delivery]) {
    let tags = deliveries.iter().filter_map(|delivery| delivery.tag).collect();
    settle(cx, tags, Settlement::Unseen);
}

impl Running {
    pub(crate) fn ack(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        ack: &basic::Ack,
    ) -> Result<(), Failure> {
        let tags = self.collect(number, ack.delivery_tag, ack.multiple)?;
        settle(cx, tags, Settlement::Ack);
        Ok(())
    }

    pub(crate) fn nack(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        nack: &basic::Nack,
    ) -> Result<(), Failure> {
        let tags = self.collect(number, nack.delivery_tag, nack.multiple)?;
        settle(cx, tags, refused(nack.requeue));
        Ok(())
    }

    pub(crate) fn reject(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        reject: &basic::Reject,
    ) -> Result<(), Failure> {
        let tags = self.collect(number, reject.delivery_tag, false)?;
        settle(cx, tags, refused(reject.requeue));
        Ok(())
    }

    /// Gives back everything that is unsettled.
    pub(crate) fn recover(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        requeue: bool,
    ) -> Result<(), Failure> {
        if !requeue {
            return Err(not_implemented("requeue=false"));
        }
        let Some(channel) = self.channel(number) else { return Ok(()) };
        let tags = channel.unsettled.take_all();
        settle(cx, tags, Settlement::Requeue);
        Ok(())
    }

    /// What a delivery tag stands for; 0 with `multiple` is everything.
    fn collect(
        &mut self,
        number: u16,
        delivery_tag: u64,
        multiple: bool,
    ) -> Result<Vec<Tag>, Failure> {
        let Some(channel) = self.channel(number) else { return Ok(Vec::new()) };
        let unsettled = &mut channel.unsettled;
        if multiple && delivery_tag == 0 {
            return Ok(unsettled.take_all());
        }
        let unknown = || unknown_delivery_tag(delivery_tag);
        if !multiple {
            return unsettled.take(delivery_tag).map(|tag| vec![tag]).ok_or_else(unknown);
        }
        let mut tags = Vec::new();
        if unsettled.take_through(delivery_tag, &mut tags) { Ok(tags) } else { Err(unknown()) }
    }
}

fn refused(requeue: bool) -> Settlement {
    if requeue { Settlement::Requeue } else { Settlement::Reject }
}

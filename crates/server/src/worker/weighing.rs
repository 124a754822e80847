//! `maxmemory-clients`, as a worker obeys it; see `client_memory`.

use std::sync::atomic::Ordering::Relaxed;

use super::Worker;
use crate::client::Fate;
use crate::client_line::line;
use crate::client_memory::{Relief, limit_bytes};
use crate::stats::bump;

impl Worker<'_> {
    /// Takes a new limit from the settings.
    pub(super) fn set_client_limit(&mut self) {
        let settings = &self.settings;
        let limit = limit_bytes(settings.maxmemory_clients, settings.maxmemory_bytes);
        if self.scales.set_limit(limit) {
            let places: Vec<usize> = self.connections.iter().map(|(id, _)| id).collect();
            places.into_iter().for_each(|id| self.weigh(id));
        }
        self.relieve();
    }

    /// Weighs a connection at the end of its round, if there is a limit.
    pub(super) fn weigh(&mut self, id: usize) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let burden = &self.server.burden;
        let card = &connection.client.card;
        let place = id as u32;
        if self.scales.is_on() && connection.client.fate != Fate::CloseNow {
            let ours = card.primary.load(Relaxed) || card.replica.load(Relaxed);
            let may_go = !card.no_evict.load(Relaxed) && !ours;
            let bytes = card.memory_bytes();
            self.scales
                .weigh(place, &mut connection.weight, bytes, may_go, burden);
        } else {
            self.scales.take_off(place, &mut connection.weight, burden);
        }
    }

    /// Closes connections until what is left is within the limit, or asks another worker to.
    pub(super) fn relieve(&mut self) {
        let server = self.server;
        let burden = &server.burden;
        while let Relief::Close(_) = self.scales.relieve(burden, &server.mailboxes) {
            let _turn = burden.turn.lock();
            let Relief::Close(place) = self.scales.relieve(burden, &server.mailboxes) else {
                return;
            };
            let id = place as usize;
            // Invariant: what is weighed is there; it is taken off when it goes.
            let connection = &mut self.connections[id];
            let card = &connection.client.card;
            let shown = line(card, 0, &server.registry, self.env.now);
            log::info!(
                "Closing a client for maxmemory-clients: {}",
                String::from_utf8_lossy(&shown)
            );
            card.killed.store(true, Relaxed);
            connection.client.fate = Fate::CloseNow;
            bump(&self.stats.evicted_clients, 1);
            self.scales.take_off(place, &mut connection.weight, burden);
            self.enqueue(id);
        }
    }
}

//! The connections of one worker by their place.

use protocol::ConnId;

use super::connection::Connection;

/// Places for connections; a place that was used before has a higher generation.
#[derive(Debug, Default)]
pub(super) struct Slab {
    places: Vec<Place>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Place {
    generation: u32,
    connection: Option<Connection>,
}

impl Slab {
    /// The place that the next connection gets, and its generation.
    pub(super) fn vacant(&mut self) -> (u32, u32) {
        match self.free.last() {
            Some(&slot) => (slot, self.generation(slot)),
            None => (u32::try_from(self.places.len()).expect("fewer places than sockets"), 0),
        }
    }

    /// Puts a connection in the vacant place.
    pub(super) fn insert(&mut self, connection: Connection) {
        match self.free.pop() {
            Some(slot) => self.places[slot as usize].connection = Some(connection),
            None => self.places.push(Place { generation: 0, connection: Some(connection) }),
        }
    }

    /// Empties a place.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Connection> {
        let place = self.places.get_mut(slot as usize)?;
        let connection = place.connection.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(slot);
        Some(connection)
    }

    /// The connection in a place.
    pub(super) fn get(&mut self, slot: u32) -> Option<&mut Connection> {
        self.places.get_mut(slot as usize)?.connection.as_mut()
    }

    /// The connection of this id, unless it is gone.
    pub(super) fn find(&mut self, id: ConnId) -> Option<&mut Connection> {
        let place = self.places.get_mut(id.slot as usize)?;
        if place.generation == id.generation { place.connection.as_mut() } else { None }
    }

    /// The generation of a place.
    pub(super) fn generation(&self, slot: u32) -> u32 {
        self.places.get(slot as usize).map_or(0, |place| place.generation)
    }

    /// The places in use.
    pub(super) fn slots(&self) -> Vec<u32> {
        (0..)
            .zip(&self.places)
            .filter(|(_, place)| place.connection.is_some())
            .map(|(slot, _)| slot)
            .collect()
    }

    /// All connections.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.places.iter().filter_map(|place| place.connection.as_ref())
    }
}

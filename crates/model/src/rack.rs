//! Where a host stands in a rack: units are counted from the bottom, from 1, as they are printed on its posts.

/// A rack of 42 units is the usual one.
pub const USUAL_HEIGHT: i64 = 42;

/// Racks that can be bought are lower; the number bounds what is written down.
pub const HIGHEST: i64 = 100;

/// The side of a rack on which a host is mounted that leaves the other side free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Face {
    /// Where people stand to look at it.
    Front,
    /// Behind it.
    Rear,
}

impl Face {
    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Face::Front => "front",
            Face::Rear => "rear",
        }
    }

    /// The face whose word this is.
    pub fn parse(word: &str) -> Option<Self> {
        [Face::Front, Face::Rear].into_iter().find(|face| face.as_str() == word)
    }
}

/// The units that a host fills, and on which side; `None` fills both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The lowest unit.
    pub position: i64,
    /// How many units.
    pub height: i64,
    /// The side, if it fills only one.
    pub face: Option<Face>,
}

impl Place {
    /// The highest unit.
    pub fn top(self) -> i64 {
        self.position + self.height - 1
    }

    /// Each unit with each side that is filled.
    pub fn claims(self) -> impl Iterator<Item = (i64, Face)> {
        let sides = [Face::Front, Face::Rear]
            .into_iter()
            .filter(move |side| self.face.is_none_or(|face| face == *side));
        sides.flat_map(move |side| (self.position..=self.top()).map(move |unit| (unit, side)))
    }

    /// Why it does not fit into a rack of this height; reads as the end of a sentence ("position ...").
    pub fn sticks_out(self, rack: i64) -> Option<String> {
        (self.position < 1 || self.top() > rack)
            .then(|| format!("sticks out: {self} of a rack of {rack} units"))
    }
}

impl std::fmt::Display for Place {
    /// "unit 7", "units 7 to 8".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.height {
            1 => write!(f, "unit {}", self.position),
            _ => write!(f, "units {} to {}", self.position, self.top()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_claims_its_units_on_its_sides_and_fits_or_does_not() {
        let place = Place { position: 41, height: 2, face: Some(Face::Rear) };
        assert_eq!(place.claims().collect::<Vec<_>>(), [(41, Face::Rear), (42, Face::Rear)]);
        assert_eq!(Place { face: None, ..place }.claims().count(), 4);
        assert_eq!(place.sticks_out(42), None);
        assert_eq!(place.sticks_out(41).unwrap(), "sticks out: units 41 to 42 of a rack of 41 units");
        assert!(Place { position: 0, ..place }.sticks_out(42).is_some());
    }
}

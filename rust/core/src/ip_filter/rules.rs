//! The rules that a caller gave a filter, so that they can be applied to another
//! one: to the filter that a session remembers from its last run, or to the
//! one that it has when a list has been read.
//!
//! A game makes rules before the start ([`FilterRules::set`]), puts lists on
//! top of them ([`FilterRules::from_list`], [`FilterRules::add`]) and starts;
//! the driver then puts all of it on top of what was remembered
//! ([`FilterRules::put_on`]).

use std::sync::Arc;

use super::{FilterError, IpFilter, IpRange, Loaded, MAX_RANGES, lists};

/// Rules, a later one before an earlier one. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterRules {
    blocked: Arc<IpFilter>,
    /// What is let through whatever was blocked before these rules.
    allowed: Arc<IpFilter>,
    /// Nothing from before these rules counts.
    whole: bool,
}

/// A whole filter, in place of everything before.
impl From<Arc<IpFilter>> for FilterRules {
    fn from(blocked: Arc<IpFilter>) -> Self {
        Self {
            blocked,
            allowed: Arc::default(),
            whole: true,
        }
    }
}

impl From<IpFilter> for FilterRules {
    fn from(blocked: IpFilter) -> Self {
        Self::from(Arc::new(blocked))
    }
}

impl FilterRules {
    /// What these rules block, by themselves.
    pub fn blocked(&self) -> &Arc<IpFilter> {
        &self.blocked
    }

    /// Blocks a range, or lets it through again.
    ///
    /// # Errors
    ///
    /// [`FilterError::TooMany`] when there are too many; nothing changes then.
    pub fn set(&mut self, range: IpRange, blocked: bool) -> Result<(), FilterError> {
        // Asked of both before either is changed.
        check_room(&mut self.blocked)?;
        if !self.whole {
            check_room(&mut self.allowed)?;
            Arc::make_mut(&mut self.allowed).set(range, !blocked)?;
        }
        Arc::make_mut(&mut self.blocked).set(range, blocked)
    }

    /// The rules of a list, and what came of it; see [`IpFilter::load`] for
    /// its formats.
    ///
    /// # Errors
    ///
    /// [`FilterError::TooMany`] when there are too many ranges, and
    /// [`FilterError::BadList`] for a broken binary list.
    pub fn from_list(list: &[u8]) -> Result<(Self, Loaded), FilterError> {
        let mut rules = Self::default();
        let loaded = lists::read(list, |range, blocked| rules.set(range, blocked))?;
        Ok((rules, loaded))
    }

    /// Adds rules, which go before those that are here.
    ///
    /// # Errors
    ///
    /// [`FilterError::TooMany`] when there would be too many; nothing changes
    /// then.
    pub fn add(&mut self, later: Self) -> Result<(), FilterError> {
        if later.whole {
            *self = later;
            return Ok(());
        }
        if self.is_empty() {
            let whole = self.whole;
            *self = Self { whole, ..later };
            return Ok(());
        }
        // Rules are not copied but where they may not fit.
        let before = (self.len() + later.len() > MAX_RANGES).then(|| self.clone());
        let added = self.set_all(&later);
        if let (Err(_), Some(before)) = (&added, before) {
            *self = before;
        }
        added
    }

    fn set_all(&mut self, later: &Self) -> Result<(), FilterError> {
        for range in later.allowed.ranges() {
            self.set(range, false)?;
        }
        for range in later.blocked.ranges() {
            self.set(range, true)?;
        }
        Ok(())
    }

    /// Puts these rules on top of a filter from before them: they block from
    /// now on what both say together.
    ///
    /// # Errors
    ///
    /// [`FilterError::TooMany`] when there would be too many; nothing changes
    /// then.
    pub fn put_on(&mut self, before: Arc<IpFilter>) -> Result<(), FilterError> {
        if self.whole || before == self.blocked {
            return Ok(());
        }
        if self.is_empty() {
            self.blocked = before;
            return Ok(());
        }
        let mut sum = Self::from(before);
        sum.add(self.clone())?;
        self.blocked = sum.blocked;
        Ok(())
    }

    fn len(&self) -> usize {
        self.blocked.len() + self.allowed.len()
    }

    /// Whether nothing is asked, but that nothing from before counts.
    fn is_empty(&self) -> bool {
        self.blocked.is_empty() && self.allowed.is_empty()
    }
}

/// Whether a filter takes one more rule. Only one that is nearly full is
/// counted.
fn check_room(filter: &mut Arc<IpFilter>) -> Result<(), FilterError> {
    match filter.inserted < MAX_RANGES {
        true => Ok(()),
        false => Arc::make_mut(filter).make_room(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(list: &[(&str, bool)]) -> FilterRules {
        let mut rules = FilterRules::default();
        for (range, blocked) in list {
            rules.set(range.parse().unwrap(), *blocked).unwrap();
        }
        rules
    }

    fn filter(ranges: &[&str]) -> Arc<IpFilter> {
        let list: Vec<_> = ranges.iter().map(|range| (*range, true)).collect();
        Arc::clone(rules(&list).blocked())
    }

    #[test]
    fn rules_go_on_top_of_what_was_remembered() {
        let remembered = filter(&["10.0.0.0/8", "11.0.0.0/8"]);
        let mut own = rules(&[("10.5.0.0/16", false), ("12.0.0.0/8", true)]);
        own.put_on(Arc::clone(&remembered)).unwrap();
        let expected = filter(&[
            "10.0.0.0-10.4.255.255",
            "10.6.0.0-10.255.255.255",
            "11.0.0.0/8",
            "12.0.0.0/8",
        ]);
        assert_eq!(own.blocked(), &expected);
        // The same again, as after a restart.
        own.put_on(remembered).unwrap();
        assert_eq!(own.blocked(), &expected);
        own.put_on(expected.clone()).unwrap();
        assert_eq!(own.blocked(), &expected);
    }

    #[test]
    fn whole_rules_forget_what_was_before() {
        let remembered = filter(&["10.0.0.0/8"]);
        let mut cleared = rules(&[("9.0.0.0", true)]);
        cleared.add(FilterRules::from(IpFilter::new())).unwrap();
        cleared.set("8.0.0.0".parse().unwrap(), true).unwrap();
        cleared.put_on(remembered).unwrap();
        assert_eq!(cleared.blocked(), &filter(&["8.0.0.0"]));
    }

    #[test]
    fn a_list_is_added_or_it_is_not() {
        let (list, loaded) =
            FilterRules::from_list(b"1.0.0.0-1.0.0.9,0\n2.0.0.0-2.0.0.9,200\nx\n").unwrap();
        let expected = Loaded {
            ranges: 2,
            errors: 1,
        };
        assert_eq!(loaded, expected);
        let mut own = rules(&[("2.0.0.0-2.0.0.20", true)]);
        own.add(list).unwrap();
        let both = filter(&["1.0.0.0-1.0.0.9", "2.0.0.10-2.0.0.20"]);
        assert_eq!(own.blocked(), &both);
        own.put_on(filter(&["2.0.0.5"])).unwrap();
        assert_eq!(own.blocked(), &both, "an exception stays one");
        let cut = FilterRules::from_list(b"\xff\xff\xff\xffP2B\x02one\0\x01");
        assert_eq!(cut, Err(FilterError::BadList));
    }

    #[test]
    fn a_rule_that_does_not_fit_changes_nothing() {
        let mut full = IpFilter::new();
        let last = 2 * MAX_RANGES as u32;
        for address in (0..last).step_by(2) {
            full.v4.insert(address..=address);
        }
        full.inserted = MAX_RANGES;
        let mut own = FilterRules {
            blocked: Arc::new(full),
            ..FilterRules::default()
        };
        let far = "200.0.0.0".parse().unwrap();
        assert_eq!(own.set(far, true), Err(FilterError::TooMany));
        assert_eq!(own.set(far, false), Err(FilterError::TooMany));
        assert_eq!(own.len(), MAX_RANGES);
    }

    type Rule = (u8, u8, bool);

    fn made(list: &[Rule]) -> FilterRules {
        let mut made = FilterRules::default();
        for &(one, other, blocked) in list {
            let (first, last) = (one.min(other), one.max(other));
            let range = IpRange::V4(u32::from(first).into(), u32::from(last).into());
            made.set(range, blocked).unwrap();
        }
        made
    }

    proptest! {
        #[test]
        fn added_is_as_if_made_one_after_the_other(
            first in prop::collection::vec(any::<Rule>(), 0..12),
            second in prop::collection::vec(any::<Rule>(), 0..12),
            third in prop::collection::vec(any::<Rule>(), 0..12),
        ) {
            let mut sum = made(&second);
            sum.add(made(&third)).unwrap();
            let all = made(&[second, third.clone()].concat());
            prop_assert_eq!(&sum, &all);
            let mut remembered = made(&first);
            let base = Arc::clone(remembered.blocked());
            remembered.add(sum.clone()).unwrap();
            sum.put_on(base).unwrap();
            prop_assert_eq!(sum.blocked(), remembered.blocked());
        }
    }
}

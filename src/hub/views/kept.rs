//! How views are written into a snapshot and read back: field after field, in an order that depends on nothing but what they hold, so
//! that equal views are equal bytes. [`kept`] destructures a struct: a field that is added to a view and not kept is an error of the
//! compiler. It knows nothing of files; a version of the whole is in [`super::snapshot`].

mod words;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use words::take_text;
pub(super) use words::{keep_text, kept_newtypes};

/// What can be kept.
pub trait Kept: Sized {
    /// Appends it.
    fn keep(&self, out: &mut Vec<u8>);

    /// Takes it off the front; none where that is not what [`Kept::keep`] wrote.
    fn take(rest: &mut &[u8]) -> Option<Self>;
}

/// Keeps a struct field by field, all of them.
macro_rules! kept {
    ($($name:ident $(<$($of:ty),+>)? { $($field:ident),+ $(,)? })+) => {
        $(impl $crate::hub::views::kept::Kept for $name $(<$($of),+>)? {
            fn keep(&self, out: &mut Vec<u8>) {
                let $name { $($field),+ } = self;
                $($crate::hub::views::kept::Kept::keep($field, out);)+
            }

            #[inline]
            fn take(rest: &mut &[u8]) -> Option<Self> {
                $(let $field = $crate::hub::views::kept::Kept::take(rest)?;)+
                Some($name { $($field),+ })
            }
        })+
    };
}
pub(super) use kept;

/// Keeps an enum by a number for each variant, and the variant's fields.
macro_rules! kept_variants {
    ($name:ident { $($number:literal => $variant:ident { $($place:tt: $field:ident),* }),+ $(,)? }) => {
        impl $crate::hub::views::kept::Kept for $name {
            fn keep(&self, out: &mut Vec<u8>) {
                match self {
                    $($name::$variant { $($place: $field),* } => {
                        out.push($number);
                        $($crate::hub::views::kept::Kept::keep($field, out);)*
                    })+
                }
            }

            fn take(rest: &mut &[u8]) -> Option<Self> {
                match <u8 as $crate::hub::views::kept::Kept>::take(rest)? {
                    $($number => Some($name::$variant { $($place: $crate::hub::views::kept::Kept::take(rest)?),* }),)+
                    _ => None,
                }
            }
        }
    };
}
pub(super) use kept_variants;

/// All of it, and nothing after it.
pub fn whole<T: Kept>(mut bytes: &[u8]) -> Option<T> {
    let value = T::take(&mut bytes)?;
    bytes.is_empty().then_some(value)
}

/// A count that the rest can hold, so that no damage leads to an allocation of its own choice. Everything kept has a byte at least.
fn count(rest: &mut &[u8]) -> Option<usize> {
    let count = u32::take(rest)? as usize;
    (count <= rest.len()).then_some(count)
}

fn keep_all<'a, T: Kept + 'a>(items: impl ExactSizeIterator<Item = &'a T>, out: &mut Vec<u8>) {
    (items.len() as u32).keep(out);
    items.for_each(|item| item.keep(out));
}

macro_rules! kept_numbers {
    ($($number:ty),+) => {
        $(impl Kept for $number {
            fn keep(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            #[inline]
            fn take(rest: &mut &[u8]) -> Option<Self> {
                let (bytes, after) = rest.split_first_chunk()?;
                *rest = after;
                Some(<$number>::from_le_bytes(*bytes))
            }
        })+
    };
}
kept_numbers!(u8, u16, u32, u64, i64);

impl Kept for bool {
    fn keep(&self, out: &mut Vec<u8>) {
        u8::from(*self).keep(out);
    }

    #[inline]
    fn take(rest: &mut &[u8]) -> Option<bool> {
        match u8::take(rest)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<const N: usize> Kept for [u8; N] {
    fn keep(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    #[inline]
    fn take(rest: &mut &[u8]) -> Option<[u8; N]> {
        let (bytes, after) = rest.split_first_chunk()?;
        *rest = after;
        Some(*bytes)
    }
}

impl Kept for Box<str> {
    fn keep(&self, out: &mut Vec<u8>) {
        keep_text(self, out);
    }

    fn take(rest: &mut &[u8]) -> Option<Box<str>> {
        take_text(rest).map(Box::from)
    }
}

impl Kept for String {
    fn keep(&self, out: &mut Vec<u8>) {
        keep_text(self, out);
    }

    fn take(rest: &mut &[u8]) -> Option<String> {
        take_text(rest).map(String::from)
    }
}

impl<T: Kept> Kept for Option<T> {
    fn keep(&self, out: &mut Vec<u8>) {
        self.is_some().keep(out);
        if let Some(value) = self {
            value.keep(out);
        }
    }

    fn take(rest: &mut &[u8]) -> Option<Option<T>> {
        match bool::take(rest)? {
            true => T::take(rest).map(Some),
            false => Some(None),
        }
    }
}

impl<T: Kept> Kept for Box<T> {
    fn keep(&self, out: &mut Vec<u8>) {
        T::keep(self, out);
    }

    fn take(rest: &mut &[u8]) -> Option<Box<T>> {
        T::take(rest).map(Box::new)
    }
}

impl<T: Kept> Kept for Arc<T> {
    fn keep(&self, out: &mut Vec<u8>) {
        T::keep(self, out);
    }

    fn take(rest: &mut &[u8]) -> Option<Arc<T>> {
        T::take(rest).map(Arc::new)
    }
}

impl<A: Kept, B: Kept> Kept for (A, B) {
    fn keep(&self, out: &mut Vec<u8>) {
        self.0.keep(out);
        self.1.keep(out);
    }

    fn take(rest: &mut &[u8]) -> Option<(A, B)> {
        Some((A::take(rest)?, B::take(rest)?))
    }
}

impl<T: Kept> Kept for Vec<T> {
    fn keep(&self, out: &mut Vec<u8>) {
        keep_all(self.iter(), out);
    }

    fn take(rest: &mut &[u8]) -> Option<Vec<T>> {
        let count = count(rest)?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(T::take(rest)?);
        }
        Some(items)
    }
}

impl<T: Kept> Kept for VecDeque<T> {
    fn keep(&self, out: &mut Vec<u8>) {
        keep_all(self.iter(), out);
    }

    fn take(rest: &mut &[u8]) -> Option<VecDeque<T>> {
        Vec::take(rest).map(VecDeque::from)
    }
}

impl<K: Kept + Ord, V: Kept> Kept for BTreeMap<K, V> {
    fn keep(&self, out: &mut Vec<u8>) {
        (self.len() as u32).keep(out);
        for (key, value) in self {
            key.keep(out);
            value.keep(out);
        }
    }

    fn take(rest: &mut &[u8]) -> Option<BTreeMap<K, V>> {
        let pairs = Vec::<(K, V)>::take(rest)?;
        Some(pairs.into_iter().collect())
    }
}

impl<K: Kept + Ord + Hash, V: Kept, S: BuildHasher + Default> Kept for HashMap<K, V, S> {
    fn keep(&self, out: &mut Vec<u8>) {
        (self.len() as u32).keep(out);
        let mut pairs: Vec<(&K, &V)> = self.iter().collect();
        pairs.sort_unstable_by_key(|(key, _)| *key);
        for (key, value) in pairs {
            key.keep(out);
            value.keep(out);
        }
    }

    fn take(rest: &mut &[u8]) -> Option<HashMap<K, V, S>> {
        let count = count(rest)?;
        let mut map = HashMap::with_capacity_and_hasher(count, S::default());
        for _ in 0..count {
            map.insert(K::take(rest)?, V::take(rest)?);
        }
        Some(map)
    }
}

impl<T: Kept + Ord + Hash> Kept for HashSet<T> {
    fn keep(&self, out: &mut Vec<u8>) {
        let mut items: Vec<&T> = self.iter().collect();
        items.sort_unstable();
        keep_all(items.into_iter(), out);
    }

    fn take(rest: &mut &[u8]) -> Option<HashSet<T>> {
        Vec::take(rest).map(HashSet::from_iter)
    }
}

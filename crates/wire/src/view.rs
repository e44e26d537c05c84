//! How header views are written: a field is a type and an offset.

use core::net::Ipv4Addr;

use crate::SeqNumber;

/// A value that stands in a header in network byte order.
pub(crate) trait Field {
    /// The field `at` octets into `octets`.
    fn get(octets: &[u8], at: usize) -> Self;
    /// Writes it there.
    fn set(self, octets: &mut [u8], at: usize);
}

/// A field that is an array of octets underneath.
macro_rules! field {
    ($type:ty, $len:literal, $from:expr, $into:expr) => {
        impl Field for $type {
            #[inline]
            fn get(octets: &[u8], at: usize) -> Self {
                let mut array = [0; $len];
                array.copy_from_slice(&octets[at..at + $len]);
                $from(array)
            }

            #[inline]
            fn set(self, octets: &mut [u8], at: usize) {
                octets[at..at + $len].copy_from_slice(&$into(self));
            }
        }
    };
}
pub(crate) use field;

field!(u8, 1, u8::from_be_bytes, u8::to_be_bytes);
field!(u16, 2, u16::from_be_bytes, u16::to_be_bytes);
field!(u32, 4, u32::from_be_bytes, u32::to_be_bytes);
field!(Ipv4Addr, 4, <Ipv4Addr as From<[u8; 4]>>::from, |address: Ipv4Addr| address.octets());
field!(SeqNumber, 4, |octets| SeqNumber(u32::from_be_bytes(octets)), |seq: SeqNumber| seq.0.to_be_bytes());

/// Defines a view, its getters over `AsRef<[u8]>` and its setters over `AsMut<[u8]>`.
///
/// Its `new`, which the file of the layer writes, makes sure that every field is inside the octets.
macro_rules! view {
    (
        $(#[$doc:meta])* $name:ident {
            $($(#[$field_doc:meta])* $get:ident, $set:ident: $type:ty = $at:literal;)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<T> {
            octets: T,
        }

        impl<T: AsRef<[u8]>> $name<T> {
            $(
                $(#[$field_doc])*
                #[inline]
                pub fn $get(&self) -> $type {
                    <$type as $crate::view::Field>::get(self.octets.as_ref(), $at)
                }
            )*

            /// All octets that the view was made of.
            #[inline]
            pub fn octets(&self) -> &[u8] {
                self.octets.as_ref()
            }

            /// Gives back what the view was made of.
            #[inline]
            pub fn into_inner(self) -> T {
                self.octets
            }
        }

        impl<T: AsRef<[u8]> + AsMut<[u8]>> $name<T> {
            $(
                #[doc = concat!("Sets [`", stringify!($get), "`](Self::", stringify!($get), ").")]
                #[inline]
                pub fn $set(&mut self, value: $type) {
                    $crate::view::Field::set(value, self.octets.as_mut(), $at);
                }
            )*
        }
    };
}
pub(crate) use view;

//! VLAN tags (IEEE 802.1Q and 802.1ad): the four octets behind an ethertype that announces one.

use crate::Malformed;
use crate::ethernet::EtherType;
use crate::view::view;

view! {
    /// A VLAN tag and what follows it.
    Vlan {
        /// Tag control information: priority, drop eligible indicator, identifier.
        control, set_control: u16 = 0;
        /// What follows the tag.
        ethertype, set_ethertype: EtherType = 2;
    }
}

impl Vlan<()> {
    /// Octets of a tag.
    pub const LEN: usize = 4;
}

impl<T: AsRef<[u8]>> Vlan<T> {
    /// The tag at the start of `octets`.
    ///
    /// # Errors
    /// [`Malformed::LinkTruncated`] below 4 octets.
    pub fn new(octets: T) -> Result<Self, Malformed> {
        if octets.as_ref().len() < Vlan::LEN { Err(Malformed::LinkTruncated) } else { Ok(Self { octets }) }
    }

    /// VLAN identifier; 0 says that the tag has only a priority.
    pub fn id(&self) -> u16 {
        self.control() & 0x0FFF
    }

    /// Priority code point, 0 to 7.
    pub fn priority(&self) -> u8 {
        (self.control() >> 13) as u8
    }

    /// Drop eligible indicator.
    pub fn drop_eligible(&self) -> bool {
        self.control() & 0x1000 != 0
    }

    /// What follows the tag.
    pub fn payload(&self) -> &[u8] {
        &self.octets()[Vlan::LEN..]
    }
}

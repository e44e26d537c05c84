pub(crate) fn idle() {}
pub(crate) fn set_up() {}

//! Netlink, sysctls and namespaces.

//! Kernel settings under `/proc/sys`, those of the calling thread's network namespace.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::failure;

/// The value of a setting, e.g. `net/ipv4/ip_forward`, without the newline.
///
/// Parts are separated by `/`, because the name of an interface may contain a dot.
///
/// # Errors
/// Names the setting.
pub fn get(name: &str) -> io::Result<String> {
    let value =
        fs::read_to_string(path(name)).map_err(|error| failure(format!("reading sysctl {name}"), error))?;
    Ok(value.trim_end().to_owned())
}

/// Gives a setting a value.
///
/// # Errors
/// Names the setting and the value.
pub fn set(name: &str, value: &str) -> io::Result<()> {
    fs::write(path(name), value).map_err(|error| failure(format!("setting sysctl {name} = {value}"), error))
}

/// `/proc/sys/net` shows the namespace of the thread that opens it, not of the process.
fn path(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: O1
    #[test]
    fn reads_a_setting_and_names_one_that_is_not_there() {
        assert!(!get("kernel/ostype").expect("every Linux has it").is_empty());
        let error = get("net/ipv4/no_such_setting").expect_err("it is not there");
        assert!(error.to_string().starts_with("reading sysctl net/ipv4/no_such_setting: "), "{error}");
        let error = set("net/ipv4/no_such_setting", "1").expect_err("it is not there");
        assert!(error.to_string().starts_with("setting sysctl net/ipv4/no_such_setting = 1: "), "{error}");
    }
}

//! The cryptographic module that this program was built with: AWS-LC, or with the feature `fips` the FIPS 140-3
//! module of AWS-LC, which tests itself when it is loaded.

/// Whether only approved algorithms seal, unless the configuration says otherwise.
pub const APPROVED_ONLY: bool = cfg!(feature = "fips");

/// Says what was built in, and whether it is in FIPS mode.
///
/// # Errors
/// It was built with the FIPS module, and that is not in FIPS mode: nothing may be sealed.
pub fn mode() -> Result<&'static str, &'static str> {
    match (APPROVED_ONLY, aws_lc_rs::try_fips_mode()) {
        (true, Ok(())) => Ok("the FIPS module of AWS-LC, in FIPS mode"),
        (true, Err(_)) => Err("the FIPS module of AWS-LC is not in FIPS mode"),
        (false, _) => Ok("AWS-LC, not its FIPS module"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_in_fips_mode_exactly_where_it_was_built_in() {
        assert_eq!(mode().unwrap().ends_with("in FIPS mode"), APPROVED_ONLY);
        assert_eq!(aws_lc_rs::try_fips_mode().is_ok(), APPROVED_ONLY);
        assert_eq!(rustls::crypto::aws_lc_rs::default_provider().fips(), APPROVED_ONLY);
    }
}

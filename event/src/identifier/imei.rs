//! The check digit of an IMEI.

/// Whether somebody wrote an IMEI of 15 digits, in groups or not, whose last one does not fit the others: most likely a slip, of that digit or of another.
pub fn has_wrong_check_digit(value: &[u8]) -> bool {
    let is_kept = |byte: &u8| !matches!(byte, b' ' | b'-');
    let bare: Vec<u8> = value.trim_ascii().iter().copied().filter(is_kept).collect();
    let Some(digits) = bare.as_array::<15>().filter(|digits| digits.iter().all(u8::is_ascii_digit)) else {
        return false;
    };
    digits.first_chunk().is_some_and(|device| with_check_digit(device) != *digits)
}

/// The 15 digits of an IMEI: the device's 14 and the check digit that Luhn's formula makes of them (3GPP TS 23.003, annex B).
pub(super) fn with_check_digit(device: &[u8; 14]) -> [u8; 15] {
    let sum: u8 = device
        .iter()
        .enumerate()
        .map(|(index, digit)| {
            let digit = digit.wrapping_sub(b'0');
            // Every second digit is doubled, and the digits of the product are added.
            if index % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
        })
        .sum();
    let mut digits = [b'0' + (10 - sum % 10) % 10; 15];
    digits.iter_mut().zip(device).for_each(|(to, from)| *to = *from);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_shows_and_what_is_no_imei_has_no_check_digit() {
        for right in
            ["868049039501257", " 86 804903-950125 7\n", "86804903950125", "a58f9fffa86c12e6fb43f5232a46d53e"]
        {
            assert!(!has_wrong_check_digit(right.as_bytes()), "{right}");
        }
        for wrong in ["868049039501256", "868049039501275", "86-804903-950125-0"] {
            assert!(has_wrong_check_digit(wrong.as_bytes()), "{wrong}");
        }
    }
}

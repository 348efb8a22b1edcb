//! Cuts lists so that each piece fits one command.

/// How many bytes of names go into one command, how many things, and how many bytes of content.
const NAMES: usize = 24 * 1024;
const THINGS: usize = 250;
const CONTENT: u64 = 256 * 1024;

/// What a thing adds to a command: bytes of names, and bytes of content.
pub(crate) type Weight = (usize, u64);

/// The pieces, in order; each has a thing at least.
pub(crate) fn batches<T>(things: &[T], weigh: impl Fn(&T) -> Weight) -> impl Iterator<Item = &[T]> {
    let mut rest = things;
    std::iter::from_fn(move || {
        let (mut names, mut content): Weight = (0, 0);
        let fits = rest.iter().take(THINGS).enumerate().take_while(|(index, thing)| {
            let (name, bytes) = weigh(thing);
            names = names.saturating_add(name);
            content = content.saturating_add(bytes);
            *index == 0 || (names <= NAMES && content <= CONTENT)
        });
        let (batch, after) = rest.split_at_checked(fits.count())?;
        rest = after;
        (!batch.is_empty()).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn batches_lose_nothing_and_fit(
            weights in prop::collection::vec((0..9000_usize, 0..90_000_u64), 0..600),
        ) {
            let cut: Vec<&[Weight]> = batches(&weights, |weight| *weight).collect();
            for batch in &cut {
                let names: usize = batch.iter().map(|weight| weight.0).sum();
                let content: u64 = batch.iter().map(|weight| weight.1).sum();
                prop_assert!(batch.len() <= THINGS && names <= NAMES && content <= CONTENT);
            }
            prop_assert_eq!(cut.concat(), weights);
        }

        #[test]
        fn what_never_fits_goes_alone(weights in prop::collection::vec((0..90_000_usize, 0..900_000_u64), 0..40)) {
            let cut: Vec<&[Weight]> = batches(&weights, |weight| *weight).collect();
            prop_assert!(cut.iter().all(|batch| !batch.is_empty()));
            prop_assert_eq!(cut.concat(), weights);
        }
    }
}

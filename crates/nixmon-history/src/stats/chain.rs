//! The chain of builds that decided how long a past run took.

use crate::jobs::Span;

/// A link of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The position in the spans.
    pub span: usize,
    /// The milliseconds between the end of the link before and its begin: it waited for a slot, or for something unseen.
    pub waited_ms: u64,
}

/// Returns the chain that ends with the last build to end, the first link first: before each comes the one among its
/// dependencies that ended last, and without known dependencies the build that ended last before it began.
pub fn chain(spans: &[Span]) -> Vec<Link> {
    let known = spans.iter().any(|s| !s.needs.is_empty());
    let mut links = Vec::new();
    let mut at = (0..spans.len()).max_by_key(|&i| (spans[i].stop_ms, std::cmp::Reverse(i)));
    let mut seen = vec![false; spans.len()];
    while let Some(i) = at.filter(|&i| !seen[i]) {
        seen[i] = true;
        let begin = spans[i].start_ms;
        let before = if known {
            let needs = spans[i].needs.iter().copied().filter(|&n| n < spans.len());
            needs.max_by_key(|&n| (spans[n].stop_ms, std::cmp::Reverse(n)))
        } else {
            let ended = (0..spans.len()).filter(|&j| !seen[j] && spans[j].stop_ms <= begin);
            ended.max_by_key(|&j| (spans[j].stop_ms, std::cmp::Reverse(j)))
        };
        let waited_ms = before.map_or(0, |b| begin.saturating_sub(spans[b].stop_ms));
        links.push(Link { span: i, waited_ms });
        at = before;
    }
    links.reverse();
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start_ms: u64, stop_ms: u64, needs: &[usize]) -> Span {
        Span { start_ms, stop_ms, needs: needs.to_vec(), ..Span::default() }
    }

    #[test]
    fn the_chain_goes_back_by_what_ended_last() {
        // 2 needs 0 and 1; 3 is beside it; 4 needs 2.
        let spans = [
            span(0, 10, &[]),
            span(0, 30, &[]),
            span(35, 50, &[0, 1]),
            span(50, 90, &[]),
            span(50, 100, &[2]),
        ];
        let links: Vec<(usize, u64)> = chain(&spans).into_iter().map(|l| (l.span, l.waited_ms)).collect();
        assert_eq!(links, [(1, 0), (2, 5), (4, 0)]);
        let bare: Vec<Span> = spans.iter().map(|s| span(s.start_ms, s.stop_ms, &[])).collect();
        assert_eq!(chain(&bare).iter().map(|l| l.span).collect::<Vec<_>>(), [1, 2, 4]);
        assert!(chain(&[]).is_empty());
    }

    #[test]
    fn a_cycle_ends_the_chain() {
        assert_eq!(chain(&[span(0, 1, &[1]), span(0, 1, &[0])]).len(), 2);
    }
}

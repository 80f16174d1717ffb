//! Cycles in a directed graph, found in time that grows with its size alone.

use std::collections::{HashMap, VecDeque};

/// Edges by node: `edges[from]` lists where they lead.
pub(super) type Edges = Vec<Vec<usize>>;

/// The groups of nodes that can all reach each other, by a cycle: one node alone only if it leads to itself.
/// Each is in order, and the groups are in the order of their first nodes.
///
/// Tarjan's algorithm, without recursion: a chain may be as long as a plan.
pub(super) fn knots(edges: &Edges) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let mut order = vec![UNSEEN; edges.len()];
    let mut low = vec![0; edges.len()];
    let mut on_stack = vec![false; edges.len()];
    let (mut stack, mut open, mut next) = (Vec::new(), Vec::new(), 0);
    let mut knots = Vec::new();
    for root in 0..edges.len() {
        if order[root] != UNSEEN {
            continue;
        }
        open.push((root, 0));
        while let Some((node, edge)) = open.pop() {
            if edge == 0 {
                (order[node], low[node]) = (next, next);
                next += 1;
                stack.push(node);
                on_stack[node] = true;
            }
            if let Some(&to) = edges[node].get(edge) {
                open.push((node, edge + 1));
                if order[to] == UNSEEN {
                    open.push((to, 0));
                } else if on_stack[to] {
                    low[node] = low[node].min(order[to]);
                }
                continue;
            }
            if let Some(&(parent, _)) = open.last() {
                low[parent] = low[parent].min(low[node]);
            }
            if low[node] == order[node] {
                let from = stack.iter().rposition(|&it| it == node).unwrap_or(stack.len());
                let mut knot = stack.split_off(from);
                knot.iter().for_each(|&it| on_stack[it] = false);
                if knot.len() > 1 || edges[node].contains(&node) {
                    knot.sort_unstable();
                    knots.push(knot);
                }
            }
        }
    }
    knots.sort_unstable();
    knots
}

/// The shortest way within `knot` from `start` back to itself, `start` first and not repeated at the end.
pub(super) fn shortest(edges: &Edges, knot: &[usize], start: usize) -> Vec<usize> {
    let mut from: HashMap<usize, usize> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for &to in &edges[node] {
            if to == start {
                let mut way = vec![node];
                let mut at = node;
                while let Some(&before) = from.get(&at).filter(|_| at != start) {
                    way.push(before);
                    at = before;
                }
                way.reverse();
                return way;
            }
            if knot.binary_search(&to).is_ok() && !from.contains_key(&to) {
                from.insert(to, node);
                queue.push_back(to);
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_knot_is_found_with_its_shortest_cycle() {
        let edges: Edges = vec![vec![1], vec![2], vec![0, 3], vec![4], vec![3], vec![5], vec![0]];
        assert_eq!(knots(&edges), [vec![0, 1, 2], vec![3, 4], vec![5]]);
        assert_eq!(shortest(&edges, &[0, 1, 2], 0), [0, 1, 2]);
        assert_eq!(shortest(&edges, &[3, 4], 4), [4, 3]);
        assert_eq!(shortest(&edges, &[5], 5), [5]);
        assert!(knots(&vec![vec![1], vec![2], vec![]]).is_empty());
    }

    #[test]
    fn a_very_long_chain_needs_no_stack() {
        let mut edges: Edges = (0..200_000).map(|node| vec![node + 1]).collect();
        edges.push(vec![0]);
        let knots = knots(&edges);
        assert_eq!(knots.len(), 1);
        assert_eq!(shortest(&edges, &knots[0], 7).len(), 200_001);
    }
}

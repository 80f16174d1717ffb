//! The placement check: what is lost with datacenters, directly and through dependencies.
//!
//! Pure: it knows the plan and the addresses that somebody else resolved, and nothing of the world. Time and
//! memory grow with the plan's size, however long its chains are.

mod compare;
mod graph;
mod lab;
mod loss;
#[cfg(test)]
mod tests;

use crate::model::{CutOrder, DatacenterId, LabSpec, Loss, Plan};

pub use compare::record;
use graph::Graph;

/// Where the addresses of control planes were found to lie: one for each of [`Plan::control_plane`], empty where
/// nobody knows. Too short a list is as good as one that ends in unknowns.
pub type Located = [Vec<DatacenterId>];

/// What a plan says of who stands where and depends on whom.
pub struct Placement<'p> {
    plan: &'p Plan,
    graph: Graph,
}

impl<'p> Placement<'p> {
    /// The placement of a plan.
    pub fn of(plan: &'p Plan, located: &Located) -> Self {
        Placement { plan, graph: Graph::of(plan, located) }
    }

    /// Whether the plan says anything that the check can go by, beyond a lab's plain replicas.
    pub fn is_told(&self) -> bool {
        let told = self.plan.services.iter();
        let lab = self.plan.lab.as_ref();
        let calls = |lab: &LabSpec| lab.services.values().any(|it| it.callees().next().is_some());
        lab.is_some_and(|lab| !lab.controllers.is_empty() || calls(lab))
            || !self.plan.control_plane.is_empty()
            || told.into_iter().any(|it| it.home.is_some() || !it.depends_on.is_empty())
    }

    /// What is lost when all of `lost` are lost at once.
    pub fn loss(&self, lost: &[DatacenterId]) -> Loss {
        loss::loss(self.plan, &self.graph, lost, &[])
    }

    /// What is lost with what the plan cuts.
    pub fn of_the_cut(&self) -> Loss {
        let CutOrder { datacenters, services, .. } = &self.plan.cut;
        let loss = loss::loss(self.plan, &self.graph, datacenters, services);
        Loss { is_cut: true, only: services.clone(), ..loss }
    }

    /// What is lost with what the plan cuts, and then with each of its datacenters alone.
    pub fn losses(&self) -> Vec<Loss> {
        let cut = &self.plan.cut;
        let all = (0..self.plan.datacenters.len()).map(|number| DatacenterId(number as u16));
        let told = |id: &DatacenterId| cut.services.is_empty() && cut.datacenters == [*id];
        let others = all.filter(|id| !told(id)).map(|id| self.loss(&[id]));
        std::iter::once(self.of_the_cut()).chain(others).collect()
    }
}

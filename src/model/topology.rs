//! Where services run, what they depend on, and what must work for their failover.

use ipnet::IpNet;

use super::{DatacenterId, Name, Text};

/// Where a service runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Home {
    /// Where it serves on an ordinary day. Not empty in a checked plan.
    pub active: Vec<Stand>,
    /// Where it could serve after a failover. None of them is active.
    pub standby: Vec<Stand>,
    /// How many servers carry the load of an ordinary peak. Then all the active ones are counted.
    pub needs: Option<u32>,
}

/// The part of a service in one datacenter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    /// Where.
    pub datacenter: DatacenterId,
    /// How many servers, if the plan counts them.
    pub servers: Option<u32>,
}

impl Home {
    /// Whether any of it, active or standby, is in `datacenter`.
    pub fn has(&self, datacenter: DatacenterId) -> bool {
        self.active.iter().chain(&self.standby).any(|stand| stand.datacenter == datacenter)
    }
}

/// What must work for the failover of services to happen.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlPlane {
    /// Its name.
    pub name: Name,
    /// Where it runs: any of them suffices. Empty: only its address is known.
    pub home: Vec<DatacenterId>,
    /// Where it is reached, as `HOST:PORT`.
    pub address: Option<Text>,
    /// The services whose failover needs it: indices into [`super::Plan::services`]. `None`: all.
    pub serves: Option<Vec<usize>>,
    /// What it needs itself.
    pub depends_on: Vec<Dependency>,
}

/// Something that another thing cannot work without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependency {
    /// An index into [`super::Plan::services`].
    Service(usize),
    /// An index into [`super::Plan::control_plane`].
    ControlPlane(usize),
}

/// Which networks are whose.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Networks(pub Vec<(DatacenterId, Vec<IpNet>)>);

impl Networks {
    /// The datacenter that `address` lies in, by the narrowest network that holds it.
    pub fn find(&self, address: std::net::IpAddr) -> Option<(DatacenterId, IpNet)> {
        // What an IPv6 socket says of an IPv4 address is that address.
        let address = address.to_canonical();
        let all = self.0.iter().flat_map(|(id, nets)| nets.iter().map(move |net| (*id, *net)));
        all.filter(|(_, net)| net.contains(&address)).max_by_key(|(_, net)| net.prefix_len())
    }

    /// The networks of `datacenter`.
    pub fn of(&self, datacenter: DatacenterId) -> impl Iterator<Item = IpNet> {
        let own = self.0.iter().filter(move |(id, _)| *id == datacenter);
        own.flat_map(|(_, nets)| nets.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_the_narrowest_network_that_holds_it() {
        let nets = |list: &[&str]| list.iter().map(|net| net.parse().unwrap()).collect();
        let networks = Networks(vec![
            (DatacenterId(0), nets(&["10.0.0.0/8", "fd00::/16"])),
            (DatacenterId(1), nets(&["10.1.0.0/16", "203.0.113.7/32"])),
        ]);
        let find = |address: &str| networks.find(address.parse().unwrap()).map(|(id, _)| id.0);
        assert_eq!(find("10.2.0.1"), Some(0));
        assert_eq!(find("10.1.0.1"), Some(1));
        assert_eq!(find("::ffff:10.1.0.1"), Some(1));
        assert_eq!(find("fd00::1"), Some(0));
        assert_eq!(find("203.0.113.8"), None);
    }
}

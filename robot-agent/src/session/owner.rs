//! What the robot's owner allows: whose settings are taken, and what they narrow.

use super::{Book, Refusal};
use agent_core::Policy;
use agent_core::fence::Area;
use protocol::dsse::{Envelope, payload_type};
use protocol::keys::Did;
use protocol::lease::LeaseMission;
use protocol::rover::Terms;
use protocol::settings::{
    Corner, OwnerSettings, Owners, SettingsError, SettingsRequest, VerifiedSettings, check_area,
};

/// The policy with the owner's area as the core's geofence: the core slows down before its edges. None when the owner set
/// no area, when the policy has areas of its own (they and the owner's can't be one), or when the core can't hold it;
/// then the lease still ends outside of the owner's area.
pub fn fenced(policy: &Policy, settings: &OwnerSettings) -> Option<Policy> {
    let area = settings.area.as_ref().filter(|_| policy.geofence.keep_in.is_empty())?;
    let mut fenced = policy.clone();
    fenced.geofence.keep_in = in_degrees(area);
    fenced.check().is_ok().then_some(fenced)
}

/// The policy with the mission's area beside the owner's: the core keeps the robot in both. An area that the core can't
/// hold is a reason not to drive, for nobody would keep the robot in it.
pub fn with_mission(policy: &Policy, mission: Option<&LeaseMission>) -> Result<Policy, Refusal> {
    let mut policy = policy.clone();
    if let Some(area) = mission.and_then(|mission| mission.area.as_deref()) {
        let refused = |why: String| Refusal::Request(format!("the mission's area: {why}"));
        check_area(area).map_err(|why| refused(why.to_owned()))?;
        policy.geofence.mission = in_degrees(area);
        policy.check().map_err(|error| refused(error.to_string()))?;
    }
    Ok(policy)
}

fn in_degrees(area: &[Vec<Corner>]) -> Vec<Area> {
    let degrees = |[lon, lat]: &Corner| [f64::from(*lat) / 1e7, f64::from(*lon) / 1e7];
    area.iter().map(|polygon| polygon.iter().map(degrees).collect()).collect()
}

impl Book {
    /// With these owners, and the settings that one of them signed. Settings that are nobody's of them are an error: a
    /// robot that ignored them would allow more than its owner did.
    pub fn with_owners(
        mut self,
        owners: Vec<Did>,
        settings: Option<Envelope>,
    ) -> Result<Self, SettingsError> {
        self.settings = settings
            .map(|settings| VerifiedSettings::verify(settings, &self.robot, &owners))
            .transpose()?;
        self.owners = owners;
        Ok(self)
    }

    /// The owner's settings.
    pub const fn settings(&self) -> Option<&VerifiedSettings> {
        self.settings.as_ref()
    }

    /// Whose settings are taken.
    pub fn owners(&self) -> &[Did] {
        &self.owners
    }

    /// Version of the owner's settings, 0 without any.
    pub fn settings_version(&self) -> u64 {
        self.settings.as_ref().map_or(0, |settings| settings.settings().version)
    }

    /// Checks settings that somebody carried here. Changes nothing. Gives the owners too: a robot that was enrolled
    /// before its owner had a key learns them once, from the fleet.
    pub fn check_settings(
        &self,
        request: SettingsRequest,
    ) -> Result<(VerifiedSettings, Vec<Did>), Refusal> {
        let refused = |error: SettingsError| Refusal::Settings(error.to_string());
        let owners = if self.owners.is_empty() {
            let said: Owners = request
                .owners
                .verify(payload_type::OWNERS, &self.fleet)
                .map_err(|_mismatch| Refusal::MessageSignature("the fleet"))?;
            if said.robot_did != self.robot_did {
                return Err(Refusal::OtherRobot(self.robot.clone()));
            }
            said.owners
        } else {
            self.owners.clone()
        };
        let settings = VerifiedSettings::verify(request.settings, &self.robot, &owners)
            .and_then(|settings| settings.after(self.settings.as_ref()))
            .map_err(refused)?;
        Ok((settings, owners))
    }

    /// Takes checked settings, which the caller has made durable.
    pub fn take_settings(&mut self, settings: VerifiedSettings, owners: Vec<Did>) {
        self.owners = owners;
        self.settings = Some(settings);
    }

    /// The open lease as the safety core sees it: with what the owner allows, if that is less.
    pub fn core(&self) -> Option<agent_core::Lease> {
        let mut core = self.current.as_ref()?.core();
        if let Some(settings) = self.settings.as_ref().map(VerifiedSettings::settings) {
            let most = settings.speed_mmps_max.unwrap_or(u32::MAX);
            core.speed_mmps_max = core.speed_mmps_max.min(most);
            // To the core, a program is a driver that may be permitted to drive without pictures.
            core.program &= settings.blind_driving;
        }
        Some(core)
    }

    /// What programs are told that they may: no more than the owner allows.
    pub fn narrow_terms(&self, terms: &mut Terms) {
        let Some(settings) = self.settings.as_ref().map(VerifiedSettings::settings) else { return };
        if let Some(mmps) = settings.speed_mmps_max {
            let most = f64::from(mmps) / 1_000.0;
            terms.speed_mps_max = terms.speed_mps_max.min(most);
            terms.reverse_mps_max = terms.reverse_mps_max.min(most);
            terms.blind_mps_max = terms.blind_mps_max.min(most);
        }
        terms.blind_permitted &= settings.blind_driving;
    }
}

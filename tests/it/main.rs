mod chart;
mod control_plane;
mod house;
mod manifest;
mod plane;
mod proof;
mod operator;
mod rig;

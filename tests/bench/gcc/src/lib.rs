//! GStreamer's plugin `rsrtp` as a file that GStreamer can load. It is GStreamer's own code, and only linked here.

pub use gstrsrtp::plugin_desc;

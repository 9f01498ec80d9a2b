use super::*;

const GOOD: &str = "data = \"/var/lib/longrein\"\n[[camera]]\nname = \"front\"\nsource = \"videotestsrc\"\n\
                    width = 640\nheight = 360\nfps = 15\nbitrate_kbps = 500\n";

fn refused(text: &str) -> String {
    format!("{:#}", Config::parse(text).unwrap_err())
}

#[test]
fn a_short_file_is_enough() {
    let config = Config::parse(GOOD).unwrap();
    assert!(config.keep_uploaded);
    assert_eq!(config.policy, Policy::default());
    assert_eq!(config.domain_id(None).unwrap(), 0);
    assert_eq!(config.domain_id(Some("42")).unwrap(), 42);
    assert!(config.domain_id(Some("x")).is_err());
    let own = Config::parse(&format!("ros_domain_id = 7\n{GOOD}")).unwrap();
    assert_eq!(own.domain_id(Some("42")).unwrap(), 7);
    let terms = config.terms();
    assert_eq!((terms.hold_ms, terms.blind_permitted), (1_000, false));
    assert_eq!(terms.cameras, ["front"]);
}

#[test]
fn an_autonomy_must_not_publish_to_the_base() {
    let active = |more: &str| format!("{GOOD}[navigation]\nactive = true\n{more}");
    let config = Config::parse(&active("velocity = \"twist_stamped\"\n")).unwrap();
    assert_eq!(config.navigation.ros(7).velocity_topic, "/cmd_vel_nav");
    assert!(refused(&active("velocity_topic = \"/cmd_vel\"\n")).contains("the base obeys"));
    assert!(refused(&active("velocity = \"ackermann\"\n")).contains("twist_stamped"));
    assert!(!Config::parse(GOOD).unwrap().navigation.active);
}

#[test]
fn an_advertised_address_needs_a_port_that_stays() {
    let link = |more: &str| format!("{GOOD}[link]\n{more}");
    let config = Config::parse(&link(
        "port = 40000\nbind = [\"192.168.1.20\"]\nadvertise = [\"robot.example:41000\"]\n",
    ));
    let reach = config.unwrap().link.reach().unwrap();
    assert_eq!((reach.port, reach.advertise[0].port), (Some(40_000), Some(41_000)));
    assert!(refused(&link("advertise = [\"203.0.113.7\"]\n")).contains("needs link.port"));
    assert!(refused(&link("port = 40000\nonly_advertised = true\n")).contains("leaves no way"));
    assert!(refused(&link("port = 40000\nadvertise = [\"a b\"]\n")).contains("HOST:PORT"));
    assert!(refused(&link("port = 40000\nadvertise = [\"a:65534\"]\n")).contains("65535"));
    assert!(refused(&link("bind = [\"0.0.0.0\"]\n")).contains("no address of this robot"));
    assert!(refused(&link("port = 65535\n")).contains("65532"));
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    assert_eq!(
        refused(&GOOD.replace("bitrate_kbps", "bitrate_kpbs")),
        "line 8: unknown key `bitrate_kpbs` in [[camera]]: did you mean `bitrate_kbps`?\n\
         line 2: missing key `bitrate_kbps` in [[camera]]"
    );
    assert_eq!(
        refused(&format!("{GOOD}[policy]\nspeed_max = 1.0\n")),
        "line 10: unknown key `speed_max` in [policy]: did you mean `speed_mps_max`?"
    );
    assert_eq!(
        refused(&format!("{GOOD}[policy.obstacle_guard]\nactiv = false\n")),
        "line 10: unknown key `activ` in [policy.obstacle_guard]: did you mean `active`?"
    );
    assert_eq!(
        refused(&format!("{GOOD}[[cameras]]\n")),
        "line 9: unknown key `cameras`: did you mean `camera`?"
    );
    assert_eq!(
        refused(&format!("endpoint = \"tcp/192.0.2.1:7447\"\n{GOOD}")),
        "line 1: unknown key `endpoint`: it belongs in [zenoh]"
    );
    assert!(refused(&format!("{GOOD}[zenoh]\nq = 1\n")).contains("known are endpoint"));
}

#[test]
fn a_camera_has_either_a_source_or_a_topic() {
    let topic = GOOD.replace("source = \"videotestsrc\"", "ros_topic = \"/camera/image\"");
    let config = Config::parse(&topic).unwrap();
    let crate::media::Source::Ros(from) = config.cameras[0].source(&config.ros, 7) else {
        panic!("not a topic")
    };
    assert_eq!((from.domain_id, from.topic.as_str()), (7, "/camera/image"));
    assert_eq!(from.node_name, "longrein_agent_camera_front");
    assert_eq!(from.message.key(), "compressed_image");
    let raw = topic.replace("width", "ros_type = \"image\"\nwidth");
    assert_eq!(Config::parse(&raw).unwrap().cameras[0].ros_type.unwrap().key(), "image");
    assert!(refused(&raw.replace("\"image\"", "\"theora\"")).contains("compressed_image"));
    let both = GOOD.replace("width", "ros_topic = \"/camera/image\"\nwidth");
    assert!(refused(&both).contains("camera \"front\" needs either"));
    let neither = GOOD.replace("source = \"videotestsrc\"\n", "");
    assert!(refused(&neither).contains("camera \"front\" needs either"));
    let untold = GOOD.replace("width", "ros_type = \"image\"\nwidth");
    assert!(refused(&untold).contains("`ros_topic`"));
}

#[test]
fn qos_is_of_the_topics_that_are_named_and_bounded() {
    let qos = "[ros.topics]\nodometry = \"/wheel/odom\"\n[ros.qos.odometry]\nreliability = \"reliable\"\n\
               [ros.qos.cmd_vel]\ndepth = 2\ndurability = \"transient_local\"\n[[ros.range]]\ntopic = \"/range\"\n\
               qos = { depth = 9 }\n";
    let of_topics = Config::parse(&format!("{GOOD}{qos}")).unwrap().ros_config(0).qos;
    let named: Vec<&str> = of_topics.keys().map(String::as_str).collect();
    assert_eq!(named, ["/cmd_vel", "/range", "/wheel/odom"], "the others have the usual one");
    assert_eq!(of_topics["/range"].depth, Some(9));
    assert_eq!(of_topics["/cmd_vel"].durability, Some(ros_bridge::qos::Durability::TransientLocal));
    assert!(Config::parse(GOOD).unwrap().ros_config(0).qos.is_empty());
    let refused = |more: &str| refused(&format!("{GOOD}[ros.qos.cmd_vel]\n{more}\n"));
    assert!(refused("depth = 9").contains("`ros.qos.cmd_vel.depth` is 9, but must be 1 to 8"));
    assert!(refused("depth = 0").contains("must be 1 to 8"));
    let best = refused("reliability = \"best-effort\"");
    assert!(best.contains("must be one of reliable, best_effort"), "{best}");
    assert!(refused("deadline_ms = 5").contains("unknown key `deadline_ms`"));
}

#[test]
fn every_mistake_is_told_at_once_with_what_to_do() {
    assert_eq!(
        refused(
            "keep_uploaded = \"yes\"\n[policy]\nspeed_mps_max = 9.0\n[program]\nhold_ms = 3001\n"
        ),
        "line 1: `keep_uploaded` is \"yes\", but must be true or false\n\
         line 3: `policy.speed_mps_max` is 9, but must be 0 to 3\n\
         line 5: `program.hold_ms` is 3001, but must be 0 to 3000\n\
         missing key `data`"
    );
    assert!(refused(&format!("{GOOD}[policy]\nspeed_mps_max = nan\n")).contains("must be 0 to 3"));
    assert!(refused(&GOOD.replace("fps = 15", "fps = 15.5")).contains("must be a whole number"));
    assert!(refused(&GOOD.replace("fps = 15", "fps = -1")).contains("must be 1 to 240"));
    assert!(refused(&GOOD.replace("front", "Front")).contains("a name is"));
    assert!(
        refused(&format!("{GOOD}{}", GOOD.split_once('\n').unwrap().1)).contains("two cameras")
    );
    assert!(refused(&format!("{GOOD}[speech]\nvoice = \"-w\"\n")).contains("speech.voice"));
    assert!(refused(&format!("{GOOD}[speech]\ncommand = \"\"\n")).contains("at least 1"));
    assert!(refused("data = ").contains("line 1"));
}

#[test]
fn the_environment_overrules_the_file_and_a_flag_overrules_both() {
    let text = format!("ros_domain_id = 1\nserver = \"http://file\"\nkeep_uploaded = true\n{GOOD}");
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let environment = || {
        [
            ("LONGREIN_ROBOT__ROS_DOMAIN_ID", "2"),
            ("LONGREIN_ROBOT__SERVER", "http://environment"),
            ("LONGREIN_ROBOT__POLICY__OBSTACLE_GUARD__STOP_M", "0.5"),
            ("LONGREIN_ROBOT__CAMERA__0__FPS", "10"),
            ("LONGREIN_ROBOT__CALIBRATION__WHEEL_BASE_M", "0.5"),
            ("LONGREIN_ROBOT_CONFIG", "not one of them"),
            ("PATH", "/bin"),
        ]
        .map(pair)
    };
    let flags = [("ros_domain_id", "3"), ("zenoh.endpoint", "tcp/192.0.2.1:1")].map(pair);
    let load = |environment: &[(String, String)], flags: &[(String, String)]| {
        Layers::new(&text, environment.to_vec(), flags).and_then(Layers::config)
    };
    let file = load(&[], &[]).unwrap();
    assert_eq!((file.ros_domain_id, file.server.as_deref()), (Some(1), Some("http://file")));
    let variables = load(&environment(), &[]).unwrap();
    assert_eq!(variables.ros_domain_id, Some(2));
    assert_eq!(variables.server.as_deref(), Some("http://environment"));
    assert_eq!(variables.policy.obstacle_guard.stop_m, 0.5);
    assert_eq!(variables.cameras[0].fps, 10);
    assert_eq!(variables.calibration["wheel_base_m"].as_float(), Some(0.5));
    assert!(variables.keep_uploaded, "what nobody overrules stays");
    let all = load(&environment(), &flags).unwrap();
    assert_eq!(all.ros_domain_id, Some(3));
    assert_eq!(all.server.as_deref(), Some("http://environment"));
    assert_eq!(all.zenoh.endpoint.as_deref(), Some("tcp/192.0.2.1:1"));

    let refused =
        |name: &str, value: &str| load(&[pair((name, value))], &[]).unwrap_err().to_string();
    assert_eq!(
        refused("LONGREIN_ROBOT__POLICY__SPEED_MAX", "1"),
        "LONGREIN_ROBOT__POLICY__SPEED_MAX: unknown key `speed_max` in [policy]: did you mean `speed_mps_max`?"
    );
    assert_eq!(
        refused("LONGREIN_ROBOT__POLICY__SPEED_MPS_MAX", "fast"),
        "LONGREIN_ROBOT__POLICY__SPEED_MPS_MAX: `policy.speed_mps_max` is \"fast\", but must be a number"
    );
    assert!(refused("LONGREIN_ROBOT__CAMERA__7__FPS", "1").contains("has no such place"));
}

/// A robot with everything.
const CLOSE: &str = "[base]\nkind = \"ackermann\"\nwheelbase_m = 0.6\n[ros]\ncommands = \"ackermann_drive_stamped\"\n\
                     [[ros.range]]\ntopic = \"/range/front\"\nx_m = 0.35\n\
                     [[ros.bumper]]\ntopic = \"/bumper\"\nside = \"rear\"\non_change = true\n";

#[test]
fn the_base_and_what_is_mounted_on_it_are_named() {
    let config = Config::parse(&format!("{GOOD}{CLOSE}")).unwrap();
    let ros = config.ros_config(3);
    assert_eq!(ros.ranges, ["/range/front"]);
    assert!(ros.bumpers[0].on_change && !ros.bumpers[0].inverted);
    assert_eq!(ros.commands, ros_bridge::kinematics::Commands::AckermannDriveStamped);
    let car =
        ros_bridge::kinematics::Kinematics::Ackermann { wheelbase_m: 0.6, steering_rad_max: 0.4 };
    assert_eq!(ros.kinematics, car);

    assert!(
        refused(&format!("{GOOD}[ros]\ncommands = \"stamped\"\n"))
            .contains("one of twist, twist_stamped, ackermann_drive_stamped")
    );
    assert!(
        refused(&format!("{GOOD}[ros]\ncommands = \"ackermann_drive_stamped\"\n"))
            .contains("base.kind")
    );
    assert!(refused(&format!("{GOOD}[base]\nwheelbase_m = 0.0\n")).contains("must be 0.05 to 5"));
    let twice = CLOSE.replace("\"/bumper\"", "\"/range/front\"");
    assert!(refused(&format!("{GOOD}{twice}")).contains("/range/front"));
    let required = "[policy.close_sensors]\nactive = true\n";
    assert!(refused(&format!("{GOOD}{required}")).contains("[[ros.range]]"));
    Config::parse(&format!("{GOOD}{CLOSE}{required}")).unwrap();
    let only = "[[ros.bumper]]\ntopic = \"/bumper\"\nside = \"front\"\non_change = true\n";
    assert!(refused(&format!("{GOOD}{only}{required}")).contains("repeat"));
}

#[test]
fn the_documentation_has_every_key_and_says_what_the_code_does() {
    let docs = docs();
    let config = Config::parse(&format!("{GOOD}{CLOSE}")).unwrap();
    let all = toml::Table::try_from(&config).unwrap();
    let mut count = 0;
    documented(&docs, &all, "", &mut count);
    assert!(count >= 50, "{count} keys");
    assert!(docs.lines().all(|line| line.chars().count() <= 100), "{docs}");
    for known in [
        "speed_mps_max  (number, m/s, default 1.5, 0 to 3)",
        "width  (whole number, pixels, must be given, 16 to 4096)",
        "LONGREIN_ROBOT__POLICY__OBSTACLE_GUARD__STOP_M",
        "ros_type  (text, no default, one of compressed_image, image)",
        "LONGREIN_ROBOT__ROS__QOS__CMD_VEL__RELIABILITY",
        "[ros.range.qos]",
        "depth  (whole number, no default, 1 to 8)",
        "hard_iron_ut  (list, µT, default [0.0,0.0,0.0])",
        "[[camera]]",
    ] {
        assert!(docs.contains(known), "{known}\n{docs}");
    }
}

/// Each key has words, and what they say about default and bounds is so.
fn documented(docs: &str, table: &toml::Table, path: &str, count: &mut usize) {
    for (name, value) in table {
        let path = format!("{path}__{name}").to_ascii_uppercase();
        match value {
            toml::Value::Table(inner) => documented(docs, inner, &path, count),
            toml::Value::Array(items) if items.first().is_some_and(toml::Value::is_table) => {
                documented(docs, items[0].as_table().unwrap(), &format!("{path}__0"), count);
            }
            value => {
                *count += 1;
                let variable = format!("\n    LONGREIN_ROBOT{path}\n");
                let entry = docs.split_once(&variable).unwrap_or_else(|| panic!("no {path}")).0;
                // The entry: name and facts, then lines of meaning.
                let (_, entry) = entry.rsplit_once("\n\n").unwrap();
                let (facts, meaning) = entry.split_once('\n').unwrap();
                let meaning = meaning.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(facts.trim().starts_with(name), "{path}: {facts}");
                assert!(meaning.len() > 10, "{path}: {meaning}");
                let said = |after: &str| {
                    let number = meaning.split_once(after)?.1;
                    let end = number.find(|c: char| !c.is_ascii_digit() && c != '.');
                    number[..end.unwrap_or(number.len())].trim_end_matches('.').parse::<f64>().ok()
                };
                if let Some(default) = said("Default ") {
                    let number = value.as_float().or(value.as_integer().map(|n| n as f64));
                    assert_eq!(Some(default), number, "{path}");
                }
                if let Some(max) = said("at most ") {
                    assert!(facts.ends_with(&format!(" to {max})")), "{path}: {facts}");
                }
            }
        }
    }
}

#[test]
fn a_camera_is_recorded_as_its_owner_says() {
    let default = &Config::parse(GOOD).unwrap().cameras[0].recording;
    let usual = (Separate::Auto, None, 1);
    assert_eq!((default.separate, default.bitrate_kbps, default.keyframe_every_s), usual);
    let with = |keys: &str| format!("{GOOD}[camera.recording]\n{keys}\n");
    let own = Config::parse(&with("separate = \"always\"\nbitrate_kbps = 4000")).unwrap();
    let recording = &own.cameras[0].recording;
    assert_eq!((recording.separate, recording.bitrate_kbps), (Separate::Always, Some(4_000)));
    assert!(refused(&with("separate = \"yes\"")).contains("must be one of auto, always, never"));
    assert!(refused(&with("keyframe_every_s = 0")).contains("must be 1 to 10"));
    assert!(refused(&with("bitrate = 5")).contains("did you mean `bitrate_kbps`?"));
    assert!(docs().contains("[[camera]]") && docs().contains("CAMERA__0__RECORDING__SEPARATE"));
}

#[test]
fn microphone_and_loudspeaker_are_off_until_they_are_named() {
    let default = Config::parse(GOOD).unwrap().audio;
    assert_eq!((default.microphone, default.loudspeaker), (None, None));
    let with = |keys: &str| format!("{GOOD}[audio]\n{keys}\n");
    let own =
        Config::parse(&with("microphone = \"pulsesrc\"\nloudspeaker = \"pulsesink\"")).unwrap();
    assert_eq!(own.audio.microphone.as_deref(), Some("pulsesrc"));
    assert!(refused(&with("microphone = \" \"")).contains("audio.microphone is empty"));
    assert!(refused(&with("record = true")).contains("unknown key `record`"));
    assert!(refused(&with("jitter_ms = 501")).contains("must be 0 to 500"));
}

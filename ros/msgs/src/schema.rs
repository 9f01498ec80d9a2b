//! Joins `.msg` files to the texts that MCAP files embed.

/// Implements [`crate::RosMessage`] for a type: its package and name, then every type that it uses, directly or
/// not, each once.
macro_rules! ros_message {
    ($type:ident = $package:literal / $name:literal $(, $dependency:literal)* $(,)?) => {
        impl crate::sealed::Sealed for $type {}
        impl crate::RosMessage for $type {
            const NAME: &'static str = concat!($package, "/msg/", $name);
            const SCHEMA: &'static str = concat!(
                include_str!(concat!("../msg/", $package, "/", $name, ".msg")),
                $(
                    "================================================================================\nMSG: ",
                    $dependency,
                    "\n",
                    include_str!(concat!("../msg/", $dependency, ".msg")),
                )*
            );
        }
    };
}

pub(crate) use ros_message;

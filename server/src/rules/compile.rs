//! From the settings of a file to rules, with the line of whatever is wrong.

mod merge;
mod wake;

use super::check::Names;
use super::expression::{Expression, Fault};
use super::meter;
use super::pattern::{ChannelPattern, Glob};
use super::reads::Reads;
use super::sync_map::SyncMap;
use super::template::Template;
use super::{ActionRule, Allow, ChannelRule, Load, Rules, address};
use crate::config::{self, Config, ConfigError, LoadSetting, RuleSettings, Source};
use cel::Env;
use std::path::Path;
use std::sync::Arc;
use tidelog_protocol::{ClientId, NodeId, UserId};
use toml::Spanned;

/// Names of maps that would take the types of something else.
const RESERVED: [&str; 3] = ["0", "crdt", "logux"];

/// The parser of expressions calls itself for each bracket, several times over: within its own
/// bound on them it still needs more than the stack of most threads.
const STACK_BYTES: usize = 64 << 20;

/// Compiles on a thread with a stack that no expression of allowed length fills.
pub(super) fn rules(config: &Config) -> Result<Rules, ConfigError> {
    let failed = || ConfigError::Refused("the rules cannot be compiled".to_owned());
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("rules".to_owned()).stack_size(STACK_BYTES);
        let thread = thread.spawn_scoped(scope, || compile(config)).map_err(|_| failed())?;
        thread.join().unwrap_or_else(|_| Err(failed()))
    })
}

fn compile(config: &Config) -> Result<Rules, ConfigError> {
    let (written, demo) = (&config.rules, demo(config)?);
    let settings = demo.as_ref().unwrap_or(written);
    let compiler = Compiler { env: Arc::new(meter::env()), source: &settings.source };
    compiler.sync_map_names(settings)?;
    let actions = settings.actions.iter().map(|rule| compiler.action(rule));
    let sync_maps = settings.sync_maps.iter().map(|rule| compiler.sync_map(rule));
    let sync_maps = sync_maps.collect::<Result<Vec<_>, _>>()?;
    let channels = settings.channels.iter().map(|rule| compiler.channel(rule));
    Ok(Rules {
        actions: actions.collect::<Result<_, _>>()?,
        channels: channels.collect::<Result<_, _>>()?,
        merges: compiler.merges(settings, &config.user_log)?,
        own_state: config.user_log.state.iter().map(|glob| Glob::new(glob)).collect(),
        own_squash: config.user_log.squash,
        wakes: compiler.wakes(settings)?,
        sync_maps,
        open: is_open(written),
        anonymous: config.auth.anonymous.clone(),
        addresses_max: config.limits.addresses_per_action,
    })
}

/// Nobody has said where actions go.
fn is_open(settings: &RuleSettings) -> bool {
    let RuleSettings { actions, channels, sync_maps, .. } = settings;
    actions.is_empty() && channels.is_empty() && sync_maps.is_empty()
}

/// The rules of the demo, for development without rules: so that nobody's rules mean something else
/// with it.
fn demo(config: &Config) -> Result<Option<RuleSettings>, ConfigError> {
    let RuleSettings { merges, pushes, .. } = &config.rules;
    if !config.dev || !is_open(&config.rules) || !merges.is_empty() || !pushes.is_empty() {
        return Ok(None);
    }
    let source = Source::new(Path::new("rules of the demo"), include_str!("demo.toml"));
    Ok(Some(Config::parse(source)?.rules))
}

struct Compiler<'a> {
    env: Arc<Env>,
    source: &'a Source,
}

/// What an address is checked with when it is known before any action.
type AddressCheck = fn(&str) -> Result<(), String>;

impl Compiler<'_> {
    fn action(&self, rule: &config::ActionRule) -> Result<ActionRule, ConfigError> {
        let kind = rule.kind.get_ref();
        if kind.is_empty() {
            return Err(
                self.error(&rule.kind, "type is a glob over action types, such as \"tasks/*\"")
            );
        }
        if kind.starts_with("logux/") {
            let reason = "types that start with logux/ are the protocol's own and match no rule";
            return Err(self.error(&rule.kind, reason));
        }
        let user: AddressCheck = |text| UserId::new(text).map(drop).map_err(|it| it.to_string());
        let client: AddressCheck =
            |text| ClientId::new(text).map(drop).map_err(|it| it.to_string());
        let node: AddressCheck = |text| NodeId::new(text).map(drop).map_err(|it| it.to_string());
        if let Some(own_log) = rule.own_log.as_ref().filter(|own| !own.get_ref())
            && rule.channels.is_empty()
        {
            let reason = "own_log = false is for actions that go to channels: this one would be in \
                          no log that its author's other devices could read";
            return Err(self.error(own_log, reason));
        }
        let mut compiled = ActionRule {
            line: self.source.line(rule.kind.span().start),
            kind: Glob::new(kind),
            reads: Reads::default(),
            allow: self.allow(rule.allow.as_ref(), &Names::default())?,
            channels: self.templates(&rule.channels, channel_name)?,
            users: self.templates(&rule.users, user)?,
            clients: self.templates(&rule.clients, client)?,
            nodes: self.templates(&rule.nodes, node)?,
            kept: rule.keep,
            own_log: rule.own_log.as_ref().is_none_or(|own_log| *own_log.get_ref()),
        };
        compiled.reads = reads(&compiled);
        Ok(compiled)
    }

    fn channel(&self, rule: &config::ChannelRule) -> Result<ChannelRule, ConfigError> {
        let text = rule.pattern.get_ref();
        let pattern = ChannelPattern::new(text).map_err(|it| self.error(&rule.pattern, it))?;
        let load = rule.load.as_ref().map(|load| match load.get_ref() {
            LoadSetting::Log => Load::Log,
            LoadSetting::State => Load::State,
            LoadSetting::None => Load::None,
        });
        let squash = rule.squash.as_ref();
        if let Some(squash) = squash.filter(|_| matches!(load, Some(Load::Log | Load::None))) {
            let reason = "squash is for channels with load = \"state\": others have nothing to give \
                          instead of their actions";
            return Err(self.error(squash, reason));
        }
        let names = Names { params: Some(pattern.names().collect()), ..Names::default() };
        let allow = self.allow(rule.allow.as_ref(), &names)?;
        let squash = squash.map(|squash| *squash.get_ref());
        Ok(ChannelRule { pattern, allow, load, squash })
    }

    fn sync_map(&self, rule: &config::SyncMapRule) -> Result<SyncMap, ConfigError> {
        let allow = self.allow(rule.allow.as_ref(), &Names::default())?;
        let names = Names { params: Some(vec!["id"]), ..Names::default() };
        let subscribe = self.allow(rule.subscribe.as_ref(), &names)?;
        let channel = address::channel(rule.name.get_ref());
        let channel = channel.ok_or_else(|| self.error(&rule.name, not_a_channel()))?;
        Ok(SyncMap::new(channel, allow, subscribe))
    }

    /// The types and channels of a map are its own.
    fn sync_map_names(&self, settings: &RuleSettings) -> Result<(), ConfigError> {
        for (index, rule) in settings.sync_maps.iter().enumerate() {
            let name = rule.name.get_ref().as_str();
            if RESERVED.contains(&name) || RESERVED.iter().any(|it| within(name, it)) {
                return Err(self.error(&rule.name, format!("the name {name:?} is taken")));
            }
            for other in settings.sync_maps.iter().take(index) {
                let other = other.name.get_ref().as_str();
                if name == other || within(name, other) || within(other, name) {
                    let reason = format!("{name:?} and the [[sync_map]] {other:?} share channels");
                    return Err(self.error(&rule.name, reason));
                }
            }
        }
        Ok(())
    }

    fn allow(
        &self,
        text: Option<&Spanned<String>>,
        names: &Names<'_>,
    ) -> Result<Allow, ConfigError> {
        let Some(text) = text else {
            return Ok(Allow(None));
        };
        let line = self.source.value_line(&text.span());
        let expression = Expression::compile(&self.env, text.get_ref(), line, names)
            .map_err(|fault| self.fault(line, fault))?;
        Ok(Allow(Some(expression).filter(|expression| !expression.is_true())))
    }

    fn templates(
        &self,
        texts: &[Spanned<String>],
        check: AddressCheck,
    ) -> Result<Vec<Template>, ConfigError> {
        let templates = texts.iter().map(|text| {
            let line = self.source.value_line(&text.span());
            let names = Names::default();
            let template = Template::compile(&self.env, text.get_ref(), line, &names)
                .map_err(|fault| self.fault(line, fault))?;
            template.fixed().map_or(Ok(()), check).map_err(|it| self.error(text, it))?;
            Ok(template)
        });
        templates.collect()
    }

    fn error<T>(&self, at: &Spanned<T>, reason: impl Into<String>) -> ConfigError {
        self.source.error(at.span(), reason)
    }

    fn fault(&self, line: usize, fault: Fault) -> ConfigError {
        self.source.error_on(line + fault.line, fault.reason)
    }
}

/// What the expressions of `rule` read of an action.
fn reads(rule: &ActionRule) -> Reads {
    let templates = [&rule.channels, &rule.users, &rule.clients, &rule.nodes];
    let templates = templates.into_iter().flatten().flat_map(Template::expressions);
    let mut reads = rule.allow.reads().clone();
    templates.for_each(|expression| reads.merge(expression.reads()));
    reads
}

fn channel_name(text: &str) -> Result<(), String> {
    address::channel(text).map(drop).ok_or_else(not_a_channel)
}

fn not_a_channel() -> String {
    let bytes_max = address::CHANNEL_BYTES_MAX;
    format!("the name of a channel has 1 to {bytes_max} bytes and no control characters")
}

/// Whether `name` is below `folder`: `a/b` below `a`.
fn within(name: &str, folder: &str) -> bool {
    name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

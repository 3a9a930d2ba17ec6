//! Bytes out.

use super::VERSION;
use crate::{Context, Dot, Element, Incarnation, Json, Stamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A body that grows, and the tables of what it names.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    body: Vec<u8>,
    nodes: Table<Arc<str>>,
    incarnations: Table<Incarnation>,
}

#[derive(Debug)]
struct Table<K> {
    numbers: BTreeMap<K, u64>,
    order: Vec<K>,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self { numbers: BTreeMap::new(), order: Vec::new() }
    }
}

impl<K: Ord + Clone> Table<K> {
    fn number(&mut self, key: &K) -> u64 {
        if let Some(number) = self.numbers.get(key) {
            return *number;
        }
        let number = self.order.len() as u64;
        self.numbers.insert(key.clone(), number);
        self.order.push(key.clone());
        number
    }
}

impl Writer {
    /// Version, tables, body.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut head = Self { body: vec![VERSION], ..Self::default() };
        head.count(self.nodes.order.len());
        self.nodes.order.iter().for_each(|node| head.text(node));
        head.count(self.incarnations.order.len());
        for incarnation in &self.incarnations.order {
            head.body.extend_from_slice(&incarnation.0.to_le_bytes());
        }
        head.body.extend_from_slice(&self.body);
        head.body
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.body.push(byte);
    }

    pub(crate) fn number(&mut self, number: u64) {
        let mut rest = number;
        while rest >= 0x80 {
            let [low, ..] = rest.to_le_bytes();
            self.body.push(low | 0x80);
            rest >>= 7;
        }
        let [low, ..] = rest.to_le_bytes();
        self.body.push(low);
    }

    /// A number of either sign: small ones of both are short.
    pub(crate) fn signed(&mut self, number: i64) {
        self.number((number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned());
    }

    /// How far `number` is from `base`, round the end if need be.
    pub(crate) fn distance(&mut self, number: u64, base: u64) {
        self.signed(number.wrapping_sub(base).cast_signed());
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.body.extend_from_slice(text.as_bytes());
    }

    /// One character, as UTF-8 has it.
    pub(crate) fn character(&mut self, character: char) {
        self.body.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    pub(crate) fn json(&mut self, json: &Json) {
        self.text(json.as_str());
    }

    pub(crate) fn incarnation(&mut self, incarnation: Incarnation) {
        let number = self.incarnations.number(&incarnation);
        self.number(number);
    }

    pub(crate) fn node(&mut self, node: &Arc<str>) {
        let number = self.nodes.number(node);
        self.number(number);
    }

    pub(crate) fn dot(&mut self, dot: Dot) {
        self.incarnation(dot.incarnation);
        self.number(dot.position.get());
    }

    pub(crate) fn stamp(&mut self, stamp: &Stamp) {
        self.number(stamp.time);
        self.distance(stamp.created, stamp.time);
        self.node(&stamp.node);
        self.number(stamp.sequence);
    }

    pub(crate) fn element(&mut self, element: &Element) {
        self.number(element.created);
        self.node(&element.node);
        self.number(element.sequence);
        self.number(element.number.into());
    }

    pub(crate) fn context(&mut self, context: &Context) {
        self.count(context.iter().len());
        for (incarnation, seen) in context.iter() {
            self.incarnation(incarnation);
            self.number(seen.prefix.get());
            self.count(seen.own.len());
            let mut before = seen.prefix.get();
            for (first, last) in seen.own.iter() {
                self.distance(first.get(), before);
                self.number(last.get() - first.get());
                before = last.get();
            }
        }
    }
}

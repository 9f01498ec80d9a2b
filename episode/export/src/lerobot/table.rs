//! Parquet tables with columns of scalars, lists, and lists of lists of lists, one row group per call.

use anyhow::Context;
use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Values of a column, one row after the other.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// `float`
    F32(Vec<f32>),
    /// `double`
    F64(Vec<f64>),
    /// `int64`
    I64(Vec<i64>),
    /// `bool`
    Bool(Vec<bool>),
    /// `string`
    Text(Vec<String>),
}

/// How many values a row has, and how they are nested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One.
    Scalar,
    /// A list of this many.
    List(usize),
    /// A list of this many lists of one list of one value: statistics of a camera.
    Image(usize),
}

/// A column of a row group.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// How its values are nested.
    pub shape: Shape,
    /// Its values.
    pub values: Values,
}

impl Column {
    /// A column.
    pub fn new(name: impl Into<String>, shape: Shape, values: Values) -> Self {
        Self { name: name.into(), shape, values }
    }

    fn element(&self, name: &str) -> anyhow::Result<TypePtr> {
        let physical = match self.values {
            Values::F32(_) => PhysicalType::FLOAT,
            Values::F64(_) => PhysicalType::DOUBLE,
            Values::I64(_) => PhysicalType::INT64,
            Values::Bool(_) => PhysicalType::BOOLEAN,
            Values::Text(_) => PhysicalType::BYTE_ARRAY,
        };
        let mut builder =
            Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
        if physical == PhysicalType::BYTE_ARRAY {
            builder = builder.with_logical_type(Some(LogicalType::String));
        }
        Ok(Arc::new(builder.build()?))
    }

    fn schema(&self) -> anyhow::Result<TypePtr> {
        match self.shape {
            Shape::Scalar => self.element(&self.name),
            Shape::List(_) => list(&self.name, self.element("element")?),
            Shape::Image(_) => {
                let inner = list("element", self.element("element")?)?;
                list(&self.name, list("element", inner)?)
            }
        }
    }

    /// Definition level of a value that is there, and repetition levels of one row.
    fn levels(&self) -> (i16, Vec<i16>) {
        match self.shape {
            Shape::Scalar => (1, vec![0]),
            // Each list adds two levels: the list itself and its element may be absent.
            Shape::List(len) | Shape::Image(len) => {
                let depth = if matches!(self.shape, Shape::List(_)) { 1 } else { 3 };
                (depth * 2 + 1, (0..len).map(|index| i16::from(index > 0)).collect())
            }
        }
    }

    fn write(&self, writer: &mut SerializedColumnWriter<'_>) -> anyhow::Result<()> {
        let (definition, row) = self.levels();
        let len = match &self.values {
            Values::F32(values) => values.len(),
            Values::F64(values) => values.len(),
            Values::I64(values) => values.len(),
            Values::Bool(values) => values.len(),
            Values::Text(values) => values.len(),
        };
        anyhow::ensure!(len % row.len().max(1) == 0, "{} has broken rows", self.name);
        let definitions = vec![definition; len];
        let repetitions: Vec<i16> = row.iter().copied().cycle().take(len).collect();
        let levels = (Some(&definitions[..]), Some(&repetitions[..]));
        match &self.values {
            Values::F32(v) => writer.typed::<FloatType>().write_batch(v, levels.0, levels.1)?,
            Values::F64(v) => writer.typed::<DoubleType>().write_batch(v, levels.0, levels.1)?,
            Values::I64(v) => writer.typed::<Int64Type>().write_batch(v, levels.0, levels.1)?,
            Values::Bool(v) => writer.typed::<BoolType>().write_batch(v, levels.0, levels.1)?,
            Values::Text(texts) => {
                let v: Vec<ByteArray> = texts.iter().map(|text| text.as_str().into()).collect();
                writer.typed::<ByteArrayType>().write_batch(&v, levels.0, levels.1)?
            }
        };
        Ok(())
    }
}

/// The three levels of a list (Parquet's logical types).
fn list(name: &str, element: TypePtr) -> anyhow::Result<TypePtr> {
    let repeated = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![element])
        .build()?;
    let outer = Type::group_type_builder(name)
        .with_repetition(Repetition::OPTIONAL)
        .with_converted_type(ConvertedType::LIST)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![Arc::new(repeated)])
        .build()?;
    Ok(Arc::new(outer))
}

/// Writes one Parquet file.
pub struct TableWriter {
    writer: SerializedFileWriter<File>,
}

impl TableWriter {
    /// Begins a file with the columns of `first`, which is not written yet.
    pub fn create(
        path: &Path,
        first: &[Column],
        metadata: Option<(&str, String)>,
    ) -> anyhow::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let fields = first.iter().map(Column::schema).collect::<anyhow::Result<Vec<_>>>()?;
        let schema = Arc::new(Type::group_type_builder("schema").with_fields(fields).build()?);
        let metadata = metadata.map(|(key, value)| vec![KeyValue::new(key.to_owned(), value)]);
        let properties = WriterProperties::builder()
            .set_created_by(concat!("longrein-episode ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::SNAPPY)
            .set_dictionary_enabled(true)
            .set_key_value_metadata(metadata)
            .build();
        Ok(Self { writer: SerializedFileWriter::new(file, schema, Arc::new(properties))? })
    }

    /// Writes one row group.
    pub fn row_group(&mut self, columns: &[Column]) -> anyhow::Result<()> {
        let mut group = self.writer.next_row_group()?;
        let mut columns = columns.iter();
        while let Some(mut writer) = group.next_column()? {
            columns.next().context("a column is missing")?.write(&mut writer)?;
            writer.close()?;
        }
        anyhow::ensure!(columns.next().is_none(), "a column too many");
        group.close()?;
        Ok(())
    }

    /// Bytes so far.
    pub fn bytes_written(&self) -> usize {
        self.writer.bytes_written()
    }

    /// Writes the footer; without it the file can't be read.
    pub fn finish(self) -> anyhow::Result<()> {
        self.writer.close()?;
        Ok(())
    }
}
